#include "handlers/pod_files.h"
#include "core/buf.h"
#include "core/file.h"
#include "core/mem.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

enum { HOST_FILE_MAX = 1 << 20 };

const char *pod_hostname(const struct pod *pod, const Runtime__V1__PodSandboxConfig *config)
{
    return config->hostname[0] ? config->hostname : pod->id; /* 64 bytes: just what sethostname(2) takes */
}

static int check_hostname(const char *name, struct err *err)
{
    size_t n = strlen(name);

    if (n > HOST_NAME_MAX)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "hostname \"%.80s...\" is longer than %d bytes: shorten it", name, HOST_NAME_MAX);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && name[i] != '-' && name[i] != '.' && name[i] != '_')
            return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                           "hostname \"%s\" has a character that no host name may have at %zu: use letters, "
                           "digits, - and .",
                           name, i);
    return 0;
}

static int check_words(const char *what, char *const *words, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if (!words[i][0] || strlen(words[i]) > 255 || strpbrk(words[i], "\n\r \t"))
            return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                           "dns_config.%s[%zu] \"%.64s\" must be one word of at most 255 bytes", what, i,
                           words[i]);
    return 0;
}

int pod_files_check(const Runtime__V1__PodSandboxConfig *config, struct err *err)
{
    const Runtime__V1__DNSConfig *dns = config->dns_config;
    int r = check_hostname(config->hostname, err);

    if (r == 0 && dns)
        r = check_words("servers", dns->servers, dns->n_servers, err);
    if (r == 0 && dns)
        r = check_words("searches", dns->searches, dns->n_searches, err);
    if (r == 0 && dns)
        r = check_words("options", dns->options, dns->n_options, err);
    return r;
}

static void add_line(struct buf *b, const char *key, char *const *words, size_t n)
{
    if (n == 0)
        return;
    buf_adds(b, key);
    for (size_t i = 0; i < n; i++)
        buf_addf(b, " %s", words[i]);
    buf_adds(b, "\n");
}

static void resolv_conf(const Runtime__V1__DNSConfig *dns, struct buf *b)
{
    for (size_t i = 0; i < dns->n_servers; i++)
        buf_addf(b, "nameserver %s\n", dns->servers[i]);
    add_line(b, "search", dns->searches, dns->n_searches);
    add_line(b, "options", dns->options, dns->n_options);
}

static int write_in(const struct pod *pod, const char *name, const struct buf *b, struct err *err)
{
    cleanup_free char *path = pod_path(pod, name);
    return file_write(path, b->data ? b->data : "", b->len, 0644, err);
}

static int write_resolv_conf(struct pod *pod, const Runtime__V1__PodSandboxConfig *config, struct err *err)
{
    cleanup_buf struct buf b = {0};

    if (config->dns_config)
        resolv_conf(config->dns_config, &b);
    if (!b.len && /* as containerd: a DNS configuration with nothing in it means the host's, too */
        file_read("/etc/resolv.conf", HOST_FILE_MAX, &b, err) < 0 && err->sys != ENOENT)
        return err_errno(err);
    return write_in(pod, "resolv.conf", &b, err);
}

/* The kubelet mounts its own /etc/hosts; this one is for everybody else. */
static int write_hosts(struct pod *pod, const Runtime__V1__PodSandboxConfig *config, struct err *err)
{
    cleanup_buf struct buf b = {0};

    if (!pod->host_network)
        buf_addf(&b, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t%s\n",
                 pod_hostname(pod, config));
    else if (file_read("/etc/hosts", HOST_FILE_MAX, &b, err) < 0 && err->sys != ENOENT)
        return err_errno(err);
    return write_in(pod, "hosts", &b, err);
}

static int write_hostname(struct pod *pod, const Runtime__V1__PodSandboxConfig *config, struct err *err)
{
    cleanup_buf struct buf b = {0};
    char name[HOST_NAME_MAX + 1] = "";

    if (pod->host_network && gethostname(name, sizeof(name) - 1) < 0)
        return err_sys(err, errno, "read the host's name");
    buf_addf(&b, "%s\n", pod->host_network ? name : pod_hostname(pod, config));
    return write_in(pod, "hostname", &b, err);
}

int pod_files_write(struct pod *pod, const Runtime__V1__PodSandboxConfig *config, struct err *err)
{
    if (dir_make(pod->dir, 0711, err) < 0 || write_hostname(pod, config, err) < 0 ||
        write_hosts(pod, config, err) < 0)
        return err_errno(err);
    return write_resolv_conf(pod, config, err);
}
