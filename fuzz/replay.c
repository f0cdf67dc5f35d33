/* Feeds every file of a corpus to a fuzz target once: what `make check` runs. Usage: TARGET_replay DIRECTORY */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(int dir, const char *name)
{
    struct stat st;
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    uint8_t *data = malloc((size_t)st.st_size + 1); /* exact size, so that ASan sees a read behind the end */
    data = realloc(data, (size_t)st.st_size ? (size_t)st.st_size : 1);
    if (read(fd, data, (size_t)st.st_size) != st.st_size)
        abort();
    close(fd);
    LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
    free(data);
    return 1;
}

int main(int argc, char **argv)
{
    DIR *d = argc == 2 ? opendir(argv[1]) : NULL;
    struct dirent *e;
    int n = 0;

    if (!d) {
        fprintf(stderr, "%s: needs a corpus directory%s%s\n", argv[0], argc == 2 ? ", not " : "",
                argc == 2 ? argv[1] : "");
        return 1;
    }
    while ((e = readdir(d)))
        n += replay(dirfd(d), e->d_name);
    closedir(d);
    printf("%s: %d inputs replayed\n", argv[1], n);
    return n ? 0 : 1;
}
