/* What cricket-unpack answers: one line on its standard output, "ok digest=... ..." or "error CODE ERRNO MESSAGE". */
#pragma once
#include "core/err.h"
#include <stddef.h>
#include <stdint.h>

enum { UNPACK_DIGEST_SIZE = 72, UNPACK_RESULT_SIZE = 1024 };

struct unpack_result {
    char digest[UNPACK_DIGEST_SIZE];  /* "sha256:..." of the compressed bytes */
    char diff_id[UNPACK_DIGEST_SIZE]; /* "sha256:..." of the uncompressed archive */
    uint64_t compressed;              /* bytes */
    uint64_t unpacked_bytes;          /* bytes of the archive's files, holes not counted */
    uint64_t files;                   /* entries of the archive */
    /* Directories that the archive did not have but needed. DIR.implied lists them as NUL-terminated paths, "." is DIR;
     * some may be gone again. The file exists only if there are any: rename and remove it together with DIR. */
    uint64_t implied;
};

/* err NULL: "ok ...", else "error ...": a line with its newline. Returns its length. */
size_t unpack_result_format(const struct unpack_result *r, const struct err *err,
                            char ret_line[static UNPACK_RESULT_SIZE]);

/* Takes the line apart. An "error" line becomes *err, as does anything that is neither. */
int unpack_result_parse(const char *text, size_t len, struct unpack_result *ret_result,
                        struct err *err) must_check;
