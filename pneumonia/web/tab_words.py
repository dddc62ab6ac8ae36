"""What the demo's further tabs say; `words` is where they are asked for."""

MEANING = {
    "people": "Of 1000 people",
    "prevalence": "How many of them have pneumonia",
    "low": "Answers Normal below",
    "high": "Answers Pneumonia above",
    "reset": "Reset",
    "rates": "In tests, {found} of {ill} X-rays with pneumonia got the answer "
    "Pneumonia (95% interval {found_ends}). {clear} of {well} without got the answer "
    "Normal ({clear_ends}).",
    "own": "Your X-ray got {p}, which is in this band.",
    "positive": "{told} are told Pneumonia. {found} of them have it.",
    "left": "{told} are left to a radiologist. {ill} of them have pneumonia.",
    "negative": "{told} are told Normal. {missed} of them have pneumonia.",
    "found": "{count} have pneumonia and are told Pneumonia",
    "doubted": "{count} have pneumonia and are left to a radiologist",
    "missed": "{count} have pneumonia and are told Normal",
    "alarm": "{count} have none and are told Pneumonia",
    "asked": "{count} have none and are left to a radiologist",
    "clear": "{count} have none and are told Normal",
    "grid": "1000 people as marks, in six groups",
    "note": "Of the test X-rays {share} show pneumonia, far more than among all "
    "children with a cough. The fewer people are sick, the more of the answers "
    "Pneumonia are false alarms.",
    "roc": "Each threshold finds some and alarms some",
    "roc_x": "false alarms among those without",
    "roc_y": "found among those with pneumonia",
    "roc_note": "The two dots are the ends of the band left to a radiologist. Lines "
    "through a dot are 95% intervals, as if each X-ray were of another patient.",
    "reliability": "Does 80% mean 80%?",
    "reliability_x": "stated probability",
    "reliability_y": "share that had pneumonia",
    "reliability_note": "Both labels weigh alike, as if every second person were sick. "
    "Larger dots stand for more X-rays. On the dashed line, the stated probability is "
    "right.",
    "benefit": "Would it help to follow it?",
    "benefit_x": "probability from which one would treat",
    "benefit_y": "net benefit, of what is possible",
    "benefit_note": "A decision curve (Vickers and Elkin 2006), at the number of sick "
    "people above. Thick: treat whom the network calls sick. Thin: treat everybody. "
    "Dashed: treat nobody. Whoever treats from 10% on accepts nine treatments in vain "
    "for one that helps. The thick curve is dotted where fewer than five of the "
    "X-rays without pneumonia would be treated, and ends before the last one: there a "
    "single X-ray makes it fall or jump.",
}
"""What `static/meaning.js` says."""

READING = {
    "begin": "Begin",
    "picture": "An X-ray of a child",
    "place": "X-ray {number} of {count}. Keys 1 to 5 answer.",
    "alone": "What do you see?",
    "aided": "You have seen the network's answer. What do you say now?",
    "steps": [
        "surely normal",
        "probably normal",
        "unsure",
        "probably pneumonia",
        "surely pneumonia",
    ],
    "truth": "Physicians called this X-ray {truth}.",
    "next": "Next X-ray",
    "end": "Finish",
    "done": "These were all X-rays that ship.",
    "restart": "Begin again",
    "failed": "The network could not be asked. Is the server still there?",
    "again": "Try again",
    "score_one": "Your score after one X-ray",
    "score": "Your score after {count} X-rays",
    "table": "Your score",
    "columns": ["Pneumonia found", "Normal found", "Area under the ROC curve"],
    "you_alone": "You, alone",
    "you_aided": "You, aided",
    "network": "The network",
    "roc": "ROC curves: found (up) by false alarms (across)",
    "roc_x": "false alarms among the normals",
    "roc_y": "found among the pneumonias",
    "roc_note": "Dashed: you, alone. Thin: you, aided. Thick: the network.",
    "changed": "After seeing its answer, you corrected {mended} of yours, and made "
    "{spoilt} wrong that had been right.",
    "counted": "From step 4 on, your answer counts as Pneumonia; unsure counts as "
    "Normal. The network's uncertain answers count by the side to which they lean. In "
    "parentheses: 95% intervals.",
    "save": "Save as CSV",
}
"""What `static/reading.js` says."""

YOURS = {
    "about": "{files} files. Answered and labelled: {normal} Normal, {pneumonia} "
    "Pneumonia.",
    "copies": "{count} are copies of others, byte by byte. Each X-ray counts once.",
    "torn": "{count} X-rays came with both labels, such as {one} and {two}. These do "
    "not count.",
    "other_reasons": "a table says something else of each",
    "labels": "Where the labels come from",
    "unlabelled": "Without a label, so not counted: {count}, such as {first}, because "
    "{reason}.",
    "refused": "No answer, so not counted",
    "warned": "Answered, but with a warning",
    "invalid": "{count} of these answers are not valid: the network refused these "
    "pictures and was overruled. What is measured here includes them.",
    "offer": "Answer the {count} that were refused, too",
    "offer_command": "{count} were refused. --anyway has them answered, too.",
    "go_on": "Go on with the {count} that are left",
    "forget": "Forget these files",
    "stays": "The files are still in your browser alone; the server kept none.",
    "odd": "These are no answers that can be measured. Load the page once more.",
    "columns": [
        "file",
        "truth",
        "answer",
        "p_pneumonia",
        "certain",
        "right",
        "valid",
        "reason",
    ],
    "table": "All answers as CSV",
    "wrong": "Wrong answers: {count}",
    "wrong_none": "No labelled X-ray got a wrong answer.",
    "wrong_note": "The surest come first. Uncertain answers count by the side to which "
    "they lean.",
    "wrong_more": "The first {shown} are shown; the table has all.",
    "was": "{truth}, answered {answer} ({percent})",
    "was_uncertain": "{truth}, uncertain ({percent})",
    "few_offered": "{count} were refused and can be answered all the same.",
    "few": "Too few to measure: at least {least} answered X-rays of each label are "
    "needed.",
    "auroc": "AUROC",
    "sensitivity": "Sensitivity, at the operating point that ships",
    "specificity": "Specificity, at the operating point that ships",
    "band": "{normal} Normal, {pneumonia} Pneumonia",
    "far": "Unlike the training images, so that the network refuses them unasked",
    "looks": {
        "height": "Lungs unusually high or flat in the picture",
        "width": "Lungs unusually wide or narrow in the picture",
        "brightness": "Unusually bright or dark",
        "contrast": "Of unusually high or low contrast",
    },
    "unlike": "Unusual is what lies beyond the middle 90 % of the training images. So "
    "10 % would be usual.",
    "here": "What would suit this place",
    "threshold": "At a probability of {threshold}, sensitivity plus specificity is "
    "greatest here. Chosen on nine tenths of these X-rays and applied to the others, "
    "such a threshold has sensitivity {sensitivity} and specificity {specificity}.",
    "needed": "For intervals of five points to either side, {normal} more X-rays "
    "without pneumonia and {pneumonia} more with it are needed.",
    "roc": "ROC curve",
    "roc_x": "false alarms among those without",
    "roc_y": "found among those with pneumonia",
    "roc_note": "Each place on the curve is a threshold. The dashed diagonal would be "
    "chance.",
    "reliability": "Does 80% mean 80%?",
    "reliability_x": "stated probability",
    "reliability_y": "share that had pneumonia",
    "reliability_note": "Both labels weigh alike, as if every second X-ray showed "
    "pneumonia. On the dashed line, the stated probability is right.",
    "caveat": "In parentheses: 95 % intervals, as if each X-ray were of another "
    "patient. Such a test says how the network ranks these X-rays. It does not make it "
    "a medical device.",
    "keep": "Save this as a page",
}
"""What `templates/yours.html` says."""

LABELLED = {
    "used": "{table}: {column} names the file. {how}",
    "column": "column {number}",
    "column_says": "In {column}, {how}.",
    "is": "{words} is {label}",
    "no": "{words} is {label}, which then means without pneumonia, healthy or not",
    "no_class": "{words} says neither {neither}",
    "cell": "{cell} in {column}",
    "more": "and {count} more",
    "nothing": "nothing",
    "folders": "Folders named the class of {counts}.",
    "ours": "{table} holds answers of this network and not the truth. It was left out.",
    "sheet": "{table} is a spreadsheet, which is not read. Save it as CSV and put that "
    "beside the X-rays.",
    "large": "{table} was left out: at most {limit} MiB are read. Keep the rows of "
    "these X-rays.",
    "broken": "{table} was left out, because it can't be read as a table: {why}.",
    "cells": "more than {columns:,} columns, or {cells:,} cells",
    "tables": "{count} more tables were left out: at most {limit} are read.",
    "one_column": "{table} was left out: it begins with {first!r}, which is no row of "
    "two columns. Expected are a name and a label, with a comma, a semicolon or a tab "
    "between them.",
    "empty": "{table} was left out: it is empty. Expected are a name and a label.",
    "no_rows": "{table} was left out: it holds the heads of columns and no row.",
    "shifted": "{table} has {count} rows that are longer than its head, as where a "
    "comma stands in a cell without quotation marks. They were left out.",
    "nobody": "{table} was left out: none of its {count} rows names a file that came. "
    "It says {example!r}, and a file is called {name!r}.",
    "numbers": "{table} was left out: no column names the files for certain. {column} "
    "says {cell!r}, and a file is called {file!r}, but a number alone may count or "
    "measure something. Expected is a column of whole names, or one that is called "
    "file or id.",
    "two_names": "{table} was left out: {one} and {two} both name files, and not the "
    "same. Keep one of them.",
    "refused": "{table} was left out. {why} Expected is a column that is called "
    "label, finding or diagnosis and says Normal and Pneumonia, or one that is called "
    "Pneumonia and says 1 and 0.",
    "holds": "{column} says {words}.",
    "bare": "{column} says {words}, and its head does not say which of them is "
    "pneumonia.",
    "program": "{column} sounds like the answer of a program, which is no truth.",
    "asked": "{column} sounds like what was asked, suspected or known before, which is "
    "no truth.",
    "no_truth": "{column} says {words}, and its head does not say that this is the "
    "truth.",
    "no_words": "No column names a class: there are {columns}.",
    "clash": "{one} and {two} contradict each other in {count} rows. Keep the one that "
    "says the truth.",
    "shared": "{table} gives no label to {count}, such as {first}, because several "
    "files are called alike. Write their folders into the table.",
    "rows_alike": "{table} gives no label to {count}, such as {first}, because rows of "
    "several paths end in its name. Write the folders of the files into the table as "
    "they are here.",
    "elsewhere": "{table} gives no label to {count}, such as {first}, because the row "
    "of that name lies in another folder, and may be another X-ray's. Write the "
    "folders of the files into the table as they are here.",
    "two": "No label for {count}, such as {first}: {tables} contradict each other.",
    "folder": "{tables} contradicts the folder of {count}, such as {first}. The table "
    "was believed; if it is wrong, take it out.",
    "why_nowhere": "no table that was read names them, and no folder is called NORMAL "
    "or PNEUMONIA",
    "why_set": "no table that was read names them, and their folder names a class but "
    "holds a folder of the other class",
    "why_tables": "two tables contradict each other",
    "why_shared": "{table} does not say which of several files of that name",
    "why_rows_alike": "several paths in {table} end in their name",
    "why_elsewhere": "rows of their names in {table} lie in other folders",
    "why_shifted": "their rows in {table} are longer than its head",
    "why_words": "{table} says {words}",
}
"""What is said of tables and folders with labels."""
