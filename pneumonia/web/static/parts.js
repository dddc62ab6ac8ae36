// Files and zips of a visitor, cut into parts that are small enough to send. A part of a
// zip is a zip with some of its files, which `web/unpack.py` reads like a whole one. Of a
// file nothing is read before its part is sent.
// The format is APPNOTE 6.3.10 of PKWARE: the zip ends in a directory of what it holds.

const LARGEST = 2 * 2 ** 20, MOST = 16;  // bytes and files of a part: seconds, on a slow line
const END = 0x06054b50, END_64 = 0x07064b50, RECORD = 0x02014b50, ALL_ONES = 0xffffffff;
const SHEETS = /\.(xls[xmb]?|ods|numbers)$/i;  // zips that are read as a whole

/** List what files and zips hold, but for folders and what systems hide. */
export async function list(files) {
  const zips = new Map();
  for (const file of files) zips.set(file, await entriesOf(file));
  const several = [...zips.values()].filter((entries) => entries?.length).length > 1;
  return [...zips].flatMap(([file, entries]) => {
    const name = file.path ?? file.name;
    const loose = (sent) => [{ file, sent, name, begin: 0, end: sent.size, size: sent.size }];
    if (entries === null) return loose(file);
    if (!entries) return loose(file.slice(0, 1024));  // what is wrong, the server says
    if (!entries.length) return loose(body([]));
    return entries.map((entry) => ({ ...entry, file, above: several ? `${name}/` : "" }));
  });
}

/** Group items into parts. */
export function* parts(items) {
  let part = [], bytes = 0;
  for (const item of items) {
    const size = item.end - item.begin, alone = !item.record || part[0]?.file !== item.file;
    if (part.length && (alone || part.length === MOST || bytes + size > LARGEST)) {
      yield part;
      [part, bytes] = [[], 0];
    }
    part.push(item);
    bytes += size;
  }
  if (part.length) yield part;
}

/** What is sent of a part: a file, or a zip of some. */
export function body(part) {
  if (part[0]?.sent) return part[0].sent;
  const pieces = [], records = [];
  let at = 0;
  for (const { file, begin, end, record } of part) {
    pieces.push(file.slice(begin, end));
    const moved = record.slice();
    new DataView(moved.buffer).setUint32(42, at, true);
    records.push(moved);
    at += end - begin;
  }
  const ending = new DataView(new ArrayBuffer(22));
  ending.setUint32(0, END, true);
  ending.setUint16(8, part.length, true);
  ending.setUint16(10, part.length, true);
  ending.setUint32(12, records.reduce((sum, record) => sum + record.length, 0), true);
  ending.setUint32(16, at, true);
  return new Blob([...pieces, ...records, ending]);
}

/** One file by itself, unpacked. */
export async function content({ file, begin, record, packed, method }, name) {
  if (!record) return file;
  const head = await view(file.slice(begin, begin + 30));
  const start = begin + 30 + head.getUint16(26, true) + head.getUint16(28, true);
  const stored = file.slice(start, start + packed);
  const stream = method ? stored.stream().pipeThrough(new DecompressionStream("deflate-raw")) : stored.stream();
  return new File([await new Response(stream).blob()], name.split("/").pop());
}

/** The files of a zip, in its order; null of another file, undefined of a damaged zip. */
async function entriesOf(file) {
  const start = await view(file.slice(0, 4));
  if (start.byteLength < 4 || SHEETS.test(file.name) || ![0x04034b50, END].includes(start.getUint32(0, true))) return null;
  const directory = await directoryOf(file);
  if (!directory) return undefined;
  const { bytes, before, shift } = directory, found = [], text = new TextDecoder();
  const records = new DataView(bytes.buffer);
  for (let at = 0; at + 46 <= bytes.length && records.getUint32(at, true) === RECORD;) {
    const [named, extra, remark] = [28, 30, 32].map((place) => records.getUint16(at + place, true));
    const record = bytes.slice(at, at + 46 + named + extra + remark);
    const [packed, size, begin] = wide(record, named);
    const name = text.decode(record.subarray(46, 46 + named));
    found.push({ record, name, size: Math.max(size, packed), packed, begin: begin + shift, method: records.getUint16(at + 10, true) });
    at += record.length;
  }
  // A file's bytes end where the next one's begin: what follows them belongs to them.
  const begins = [...new Set(found.map(({ begin }) => begin))].sort((a, b) => a - b);
  const ends = new Map(begins.map((begin, place) => [begin, begins[place + 1] ?? before]));
  const folders = new Set(found.flatMap(({ name }) => {
    const above = name.split(/[\\/]/);
    return above.map((_, depth) => above.slice(0, depth).join("/"));
  }));
  return found
    .map((one) => ({ ...one, end: ends.get(one.begin) }))
    .filter(({ name, size }) => !isHidden(name) && !/[\\/]$/.test(name)
      && (size || !folders.has(name.replaceAll("\\", "/"))));
}

/** The directory of a zip, where it begins, and how far all stands behind where it says. */
async function directoryOf(file) {
  const tail = await view(file.slice(-(22 + 0xffff)));
  let at = tail.byteLength - 22;
  const ends = () => tail.getUint32(at, true) === END
    && at + 22 + tail.getUint16(at + 20, true) === tail.byteLength;  // and not in its remark
  while (at >= 0 && !ends()) at -= 1;
  if (at < 0) return null;
  let size = tail.getUint32(at + 12, true), said = tail.getUint32(at + 16, true);
  let before = file.size - tail.byteLength + at - size;
  if (at >= 20 && tail.getUint32(at - 20, true) === END_64) {
    const end = file.size - tail.byteLength + at - 20 - 56, long = await view(file.slice(end, end + 56));
    [size, said] = [40, 48].map((place) => Number(long.getBigUint64(place, true)));
    before = end - size;
  }
  if (before < 0 || size > 2 ** 28) return null;
  return { bytes: new Uint8Array(await file.slice(before, before + size).arrayBuffer()), before, shift: before - said };
}

/** Packed size, size and place of a record: in 64 bits where 32 do not hold them. */
function wide(record, named) {
  const all = new DataView(record.buffer);
  const values = { 24: 0, 20: 0, 42: 0 };  // in the order of the long ones
  for (const place of [24, 20, 42]) values[place] = all.getUint32(place, true);
  const end = 46 + named + all.getUint16(30, true);
  for (let at = 46 + named; at + 4 <= end; at += 4 + all.getUint16(at + 2, true)) {
    if (all.getUint16(at, true) !== 1) continue;
    let from = at + 4;
    for (const place of [24, 20, 42]) {
      if (values[place] !== ALL_ONES || from + 8 > end) continue;
      values[place] = Number(all.getBigUint64(from, true));
      from += 8;
    }
  }
  return [values[20], values[24], values[42]];
}

const isHidden = (name) => name.split(/[\\/]/)
  .some((part) => part === "__MACOSX" || (part.startsWith(".") && part !== ".."));

const view = async (blob) => new DataView(await blob.arrayBuffer());
