-- What a receipt needs is found without reading what its source names at other positions, be that
-- millions of files that never were: of each position before which something ends, what had begun
-- stands before the rest. Only who says whether a file is lacking reads by these.
CREATE INDEX need_lacking_by_end ON need (lineage, kind, ended, began) WHERE lacking = 1;
CREATE INDEX need_here_by_end ON need (lineage, kind, ended, began) WHERE lacking = 0;
