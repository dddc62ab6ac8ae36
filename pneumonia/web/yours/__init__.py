"""Does it work here? Somebody's own labelled X-rays, answered and measured."""
