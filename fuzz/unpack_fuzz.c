/* A whole layer, hostile, into a directory: nothing may appear beside it. First byte odd: header checksums are made right. */
#include "helpers/unpack_decoders.c"
#include "helpers/unpack_dirs.c"
#include "helpers/unpack_input.c"
#include "helpers/unpack_tar.c"
#include "helpers/unpack_tree.c"
#include <sys/mman.h>

static void mend_checksums(uint8_t *p, size_t n)
{
    for (unsigned sum = 0; n >= 512; p += 512, n -= 512, sum = 0) {
        for (int i = 0; i < 512; i++)
            sum += i >= 148 && i < 156 ? ' ' : p[i];
        if (memcmp(p + 257, "ustar", 5) == 0)
            snprintf((char *)p + 148, 8, "%06o", sum & 0777777);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct tar_limits limits = {2000, 1 << 20, TAR_PATH_MAX};
    char top[] = "/tmp/unpack-fuzz-XXXXXX", diff_id[INPUT_DIGEST_SIZE], digest[INPUT_DIGEST_SIZE];
    int was = open(".", O_PATH), in = memfd_create("layer", 0), dir = mkdtemp(top) ? open(top, O_PATH) : -1;
    uint8_t *copy = mem_dup(size ? data : (const uint8_t *)"", size + !size);
    struct err err;

    if (copy[0] & 1)
        mend_checksums(copy + 1, size - 1);
    if (dir < 0 || mkdirat(dir, "root", 0755) < 0 || (size > 1 && pwrite(in, copy + 1, size - 1, 0) < 0))
        abort();
    int root = openat(dir, "root", O_RDONLY);
    struct tar_job j = {.input = input_new(in, &limits), .tree = tree_new(root, false), .limits = limits};
    int r = tar_unpack(&j, &err);
    r = r == 0 ? input_finish(j.input, digest, diff_id, &err) : r;
    tree_free(j.tree), input_free(j.input), free(copy), close(root), close(in);
    if (fchdir(was) < 0 || tree_remove_at(dir, "root", &err) < 0 || rmdir(top) < 0 || (r < 0 && !err.msg[0]))
        abort(); /* something is beside it, or a failure without a reason */
    close(was), close(dir);
    return 0;
}
