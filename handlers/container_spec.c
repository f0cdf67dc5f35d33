#include "handlers/container_spec.h"
#include "core/cgroup.h"
#include "core/file.h"
#include "core/mem.h"
#include "handlers/pod_files.h"
#include "handlers/record.h"
#include "handlers/runtimes.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

enum { SECCOMP_FILE_MAX = 1 << 20 };

/* old clients still send the deprecated profile strings; protobuf-c would warn at each look */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static const Runtime__V1__LinuxContainerSecurityContext *security_of(const Runtime__V1__ContainerConfig *c)
{
    static const Runtime__V1__LinuxContainerSecurityContext none =
        RUNTIME__V1__LINUX_CONTAINER_SECURITY_CONTEXT__INIT;

    return c->linux && c->linux->security_context ? c->linux->security_context : &none;
}

/* ---- checks -------------------------------------------------------------------------------------------------------- */

static size_t count(char *const *list)
{
    size_t n = 0;

    while (list[n])
        n++;
    return n;
}

/* command replaces the entrypoint and drops the image's cmd; args replace cmd. */
static int choose_args(struct container_inputs *in, struct err *err)
{
    const Runtime__V1__ContainerConfig *c = in->config;
    char *const *head = c->n_command ? c->command : in->image->entrypoint;
    size_t head_n = c->n_command ? c->n_command : count(in->image->entrypoint);
    char *const *tail = c->n_args || c->n_command ? c->args : in->image->cmd;
    size_t tail_n = c->n_args || c->n_command ? c->n_args : count(in->image->cmd);

    if (head_n + tail_n == 0)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "image %s has neither entrypoint nor cmd: give the container a command",
                       c->image->image);
    in->args = pool_alloc(&in->pool, (head_n + tail_n + 1) * sizeof(*in->args));
    /* copies: the image may be removed, and pulled anew, before they are used */
    for (size_t i = 0; i < head_n; i++)
        in->args[i] = pool_strdup(&in->pool, head[i]);
    for (size_t i = 0; i < tail_n; i++)
        in->args[head_n + i] = pool_strdup(&in->pool, tail[i]);
    in->cwd = pool_strdup(&in->pool, c->working_dir[0]        ? c->working_dir
                                     : in->image->working_dir ? in->image->working_dir
                                                              : "/");
    if (in->cwd[0] != '/')
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "working_dir \"%s\" must be absolute", in->cwd);
    return 0;
}

static int check_recursive(struct container *c, const Runtime__V1__Mount *m, size_t i, struct err *err)
{
    const struct runtime *rt;

    if (!m->readonly)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "mounts[%zu] %s: recursive_read_only is given without readonly", i, m->container_path);
    if (m->propagation != RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_PRIVATE)
        return err_set(
            err, GRPC_INVALID_ARGUMENT, 0,
            "mounts[%zu] %s: recursive_read_only needs propagation PRIVATE: what is mounted later would "
            "be writable",
            i, m->container_path);
    if (runtime_find(c->daemon->runtimes, container_pod(c)->runtime, &rt, err) < 0)
        return err_errno(err);
    if (!rt->probed)
        return err_set(err, GRPC_UNAVAILABLE, 0, "handler %s has not told its features yet; try again",
                       rt->config->name);
    if (!rt->recursive_read_only) /* the prefix is what the kubelet looks for: cri-api/pkg/errors */
        return err_set(err, GRPC_UNKNOWN, 0,
                       "RROUnsupported: mounts[%zu] %s: handler %s, or this kernel, has no recursive read-only "
                       "mounts; they need Linux 5.12 and runc 1.1 or crun 1.4",
                       i, m->container_path, rt->config->name);
    return 0;
}

static int check_mount(struct container *c, const Runtime__V1__Mount *m, size_t i, struct err *err)
{
    if (m->image)
        return err_set(err, GRPC_UNIMPLEMENTED, 0, "mounts[%zu] %s: image volumes are not supported", i,
                       m->container_path);
    if (!m->container_path[0])
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "mounts[%zu] has no container_path", i);
    if (m->host_path[0] != '/')
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "mounts[%zu] %s: host_path \"%s\" must be absolute", i,
                       m->container_path, m->host_path);
    if (m->n_uidmappings || m->n_gidmappings)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "mounts[%zu] %s: idmapped mounts are not supported", i,
                       m->container_path);
    if (m->propagation > RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_BIDIRECTIONAL)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "mounts[%zu] %s: propagation %d is not known", i,
                       m->container_path, (int)m->propagation);
    return m->recursive_read_only ? check_recursive(c, m, i, err) : 0;
}

/* What execve(2) cannot take would reach the container cut short. */
static int check_env(const Runtime__V1__KeyValue *e, size_t i, struct err *err)
{
    if (!e->key[0] || strchr(e->key, '='))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "envs[%zu]: name \"%.64s\" must not be empty, nor have a \"=\"", i, e->key);
    if (e->value.len && memchr(e->value.data, '\0', e->value.len))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "envs[%zu]: the value of %.64s has a NUL byte, which no environment can hold", i,
                       e->key);
    return 0;
}

static int check_namespaces(const struct container *c, const Runtime__V1__NamespaceOption *ns, struct err *err)
{
    if (ns && ns->userns_options && ns->userns_options->mode != RUNTIME__V1__NAMESPACE_MODE__NODE)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "userns_options: user namespaces are not supported: use mode NODE");
    Runtime__V1__NamespaceMode pid = ns ? ns->pid : RUNTIME__V1__NAMESPACE_MODE__POD;
    if (pid == RUNTIME__V1__NAMESPACE_MODE__POD && !container_pod(c)->host_pid &&
        container_pod(c)->infra_pid <= 0)
        return err_set(err, GRPC_FAILED_PRECONDITION, 0,
                       "container %s: the infra container of its pod has ended: make a new pod", c->name);
    if (pid > RUNTIME__V1__NAMESPACE_MODE__TARGET)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "namespace_options.pid: mode %d is not known", (int)pid);
    if (pid == RUNTIME__V1__NAMESPACE_MODE__NODE && !container_pod(c)->host_pid)
        return err_set(
            err, GRPC_INVALID_ARGUMENT, 0,
            "container %s: namespace_options.pid NODE, but its pod is not in the host's PID namespace: "
            "make the pod with NODE, too",
            c->name);
    if (pid == RUNTIME__V1__NAMESPACE_MODE__TARGET) {
        struct container *t = container_find(c->daemon->containers, ns->target_id, err);
        if (!t)
            return err_wrap(err, "namespace_options.target_id");
        if (strcmp(t->pod_id, c->pod_id) != 0 || t->state != CONTAINER_STATE_RUNNING)
            return err_set(err, GRPC_FAILED_PRECONDITION, 0,
                           "namespace_options.target_id %.13s is not a running container of this pod",
                           ns->target_id);
    }
    return 0;
}

int container_spec_check(struct container *c, struct container_inputs *in, struct err *err)
{
    const Runtime__V1__LinuxContainerSecurityContext *sec = security_of(in->config);

    if (choose_args(in, err) < 0)
        return err_errno(err);
    for (size_t i = 0; i < in->config->n_mounts; i++)
        if (check_mount(c, in->config->mounts[i], i, err) < 0)
            return err_errno(err);
    for (size_t i = 0; i < in->config->n_envs; i++)
        if (check_env(in->config->envs[i], i, err) < 0)
            return err_errno(err);
    if (in->config->n_cdi_devices)
        return err_set(err, GRPC_UNIMPLEMENTED, 0, "CDI device %s: CDI is not supported",
                       in->config->cdi_devices[0]->name);
    if (sec->privileged && !container_pod(c)->privileged)
        return err_set(
            err, GRPC_INVALID_ARGUMENT, 0,
            "container %s is privileged but its pod is not: set privileged in the pod's security context, too",
            c->name);
    return check_namespaces(c, sec->namespace_options, err);
}

/* ---- parts --------------------------------------------------------------------------------------------------------- */

static void env_set(struct kv_list *l, const char *pair)
{
    const char *eq = strchr(pair, '=');
    cleanup_free char *key = eq ? mem_strndup(pair, (size_t)(eq - pair)) : mem_strdup(pair);

    kv_set(l, key, eq ? eq + 1 : "");
}

/* As the UTS namespace has it: in the host's network that is the host's. */
static void set_hostname(struct kv_list *l, const struct pod *pod, const Runtime__V1__PodSandboxConfig *config)
{
    char name[HOST_NAME_MAX + 1] = "";

    if (pod->host_network && !config->hostname[0] && gethostname(name, sizeof(name) - 1) == 0)
        kv_set(l, "HOSTNAME", name);
    else
        kv_set(l, "HOSTNAME", pod_hostname(pod, config));
}

static char **build_env(struct container *c, struct container_inputs *in)
{
    struct kv_list l = {0};

    kv_set(&l, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    if (in->config->tty)
        kv_set(&l, "TERM", "xterm");
    set_hostname(&l, container_pod(c), in->pod_config);
    for (size_t i = 0; in->image->env[i]; i++)
        env_set(&l, in->image->env[i]);
    for (size_t i = 0; i < in->config->n_envs; i++) {
        const Runtime__V1__KeyValue *e = in->config->envs[i];
        cleanup_free char *value = mem_strndup((const char *)e->value.data, e->value.len);
        kv_set(&l, e->key, value);
    }
    char **env = pool_alloc(&in->pool, (l.n + 1) * sizeof(*env));
    for (size_t i = 0; i < l.n; i++)
        env[i] = pool_printf(&in->pool, "%s=%s", l.items[i].key, l.items[i].value);
    kv_done(&l);
    return env;
}

static char **options(struct pool *p, const char *a, const char *b, const char *c)
{
    char **o = pool_alloc(p, 4 * sizeof(*o));

    o[0] = pool_strdup(p, a);
    o[1] = pool_strdup(p, b);
    o[2] = pool_strdup(p, c);
    return o;
}

static struct oci_mount request_mount(struct pool *p, const Runtime__V1__Mount *m)
{
    static const char *const propagation[] = {"rprivate", "rslave", "rshared"};
    const char *access = m->recursive_read_only ? "rro" : m->readonly ? "ro" : "rw";

    return (struct oci_mount){
        .destination = pool_printf(p, "%s%s", m->container_path[0] == '/' ? "" : "/", m->container_path),
        .source = m->host_path,
        .type = pool_strdup(p, "bind"),
        .options = options(p, "rbind", propagation[m->propagation], access),
    };
}

/* "/etc/hosts", "/etc//hosts/" and "etc/hosts" are one place. */
static bool is_same_place(const char *a, const char *b)
{
    for (;;) {
        a += strspn(a, "/");
        b += strspn(b, "/");
        size_t n = strcspn(a, "/");
        if (n != strcspn(b, "/") || strncmp(a, b, n) != 0)
            return false;
        if (n == 0)
            return true;
        a += n;
        b += n;
    }
}

static bool is_requested(const Runtime__V1__ContainerConfig *c, const char *destination)
{
    for (size_t i = 0; i < c->n_mounts; i++)
        if (is_same_place(c->mounts[i]->container_path, destination))
            return true;
    return false;
}

/* The pod's files, where the request does not bring its own (the kubelet does, for /etc/hosts), then the request's. */
static void build_mounts(struct container *c, struct container_inputs *in, struct oci_container *o)
{
    static const char *const files[][2] = {
        {"/etc/hostname", "hostname"}, {"/etc/hosts", "hosts"}, {"/etc/resolv.conf", "resolv.conf"}};
    struct pool *p = &in->pool;
    struct pod *pod = container_pod(c);
    const char *ro = security_of(in->config)->readonly_rootfs ? "ro" : "rw";
    size_t n = 0;

    o->mounts = pool_alloc(p, (in->config->n_mounts + countof(files) + 1) * sizeof(*o->mounts));
    for (size_t i = 0; i < countof(files); i++) {
        if (is_requested(in->config, files[i][0]))
            continue;
        o->mounts[n++] = (struct oci_mount){
            .destination = pool_strdup(p, files[i][0]),
            .source = pool_keep(p, pod_path(pod, files[i][1])),
            .type = pool_strdup(p, "bind"),
            .options = options(p, "rbind", "rprivate", ro),
        };
    }
    if (!is_requested(in->config, "/dev/shm"))
        o->mounts[n++] = (struct oci_mount){
            .destination = pool_strdup(p, "/dev/shm"),
            .source = pod->host_ipc ? pool_strdup(p, "/dev/shm") : pool_keep(p, pod_path(pod, "shm")),
            .type = pool_strdup(p, "bind"),
            .options = options(p, "rbind", "rprivate", "rw"),
        };
    for (size_t i = 0; i < in->config->n_mounts; i++) {
        const Runtime__V1__Mount *m = in->config->mounts[i];
        o->mounts[n++] = request_mount(p, m);
        if (m->propagation == RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_BIDIRECTIONAL)
            o->rootfs_propagation = "rshared";
        else if (m->propagation == RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_HOST_TO_CONTAINER &&
                 !o->rootfs_propagation)
            o->rootfs_propagation = "rslave";
    }
    o->mounts_n = n;
}

static char **list_of(struct pool *p, char *const *items, size_t n)
{
    if (n == 0)
        return NULL;
    char **list = pool_alloc(p, (n + 1) * sizeof(*list));
    memcpy(list, items, n * sizeof(*list));
    return list;
}

/* A profile by the old string field ("runtime/default", "unconfined", "localhost/PATH") where the new one is not set. */
static int seccomp_from_path(struct container_inputs *in, const char *s, struct oci_container *o,
                             const char **ret_file, struct err *err)
{
    (void)in;
    if (strcmp(s, "unconfined") == 0)
        o->seccomp = SECCOMP_UNCONFINED;
    else if (strcmp(s, "runtime/default") == 0 || strcmp(s, "docker/default") == 0)
        o->seccomp = SECCOMP_RUNTIME_DEFAULT;
    else if (strncmp(s, "localhost/", 10) == 0)
        *ret_file = s + 10;
    else
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "seccomp profile \"%s\": use unconfined, runtime/default or localhost/FILE", s);
    return 0;
}

static int choose_seccomp(struct container *c, struct container_inputs *in, struct oci_container *o,
                          struct err *err)
{
    const Runtime__V1__LinuxContainerSecurityContext *sec = security_of(in->config);
    const char *unset = c->daemon->config.unset_seccomp_profile;
    const char *file = NULL;
    int r = 0;

    if (sec->privileged)
        o->seccomp = SECCOMP_UNCONFINED;
    else if (!sec->seccomp)
        r = seccomp_from_path(in,
                              sec->seccomp_profile_path[0] ? sec->seccomp_profile_path
                              : unset && unset[0]          ? unset
                                                           : "unconfined",
                              o, &file, err);
    else if (sec->seccomp->profile_type == RUNTIME__V1__SECURITY_PROFILE__PROFILE_TYPE__Localhost)
        file = sec->seccomp->localhost_ref;
    else if (sec->seccomp->profile_type > RUNTIME__V1__SECURITY_PROFILE__PROFILE_TYPE__Localhost)
        r = err_set(err, GRPC_INVALID_ARGUMENT, 0, "seccomp: profile_type %d is not known",
                    (int)sec->seccomp->profile_type);
    else if (sec->seccomp->localhost_ref[0])
        r = err_set(err, GRPC_INVALID_ARGUMENT, 0,
                    "seccomp: localhost_ref \"%s\" must only be set if profile_type is Localhost",
                    sec->seccomp->localhost_ref);
    else
        o->seccomp = sec->seccomp->profile_type == RUNTIME__V1__SECURITY_PROFILE__PROFILE_TYPE__RuntimeDefault
                         ? SECCOMP_RUNTIME_DEFAULT
                         : SECCOMP_UNCONFINED;
    if (r < 0 || !file)
        return r;
    if (file[0] != '/')
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "seccomp: localhost_ref \"%s\" must be an absolute path",
                       file);
    struct buf b = {0};
    if (file_read(file, SECCOMP_FILE_MAX, &b, err) < 0) {
        err->grpc = GRPC_INVALID_ARGUMENT;
        return err_wrap(err, "seccomp profile");
    }
    o->seccomp = SECCOMP_JSON;
    o->seccomp_json = pool_keep(&in->pool, buf_steal(&b));
    return 0;
}

static int choose_apparmor(struct container *c, struct container_inputs *in, struct oci_container *o,
                           struct err *err)
{
    const Runtime__V1__LinuxContainerSecurityContext *sec = security_of(in->config);
    const char *old = sec->apparmor_profile;
    const char *name = NULL;

    if (sec->apparmor && sec->apparmor->profile_type == RUNTIME__V1__SECURITY_PROFILE__PROFILE_TYPE__Localhost)
        name = sec->apparmor->localhost_ref;
    else if (!sec->apparmor && strncmp(old, "localhost/", 10) == 0)
        name = old + 10;
    else if (!sec->apparmor && old[0] && strcmp(old, "runtime/default") != 0 && strcmp(old, "unconfined") != 0)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "apparmor profile \"%s\": use runtime/default, unconfined or localhost/NAME", old);
    if (!name || sec->privileged)
        return 0;
    if (strncmp(name, "localhost/", 10) == 0)
        name += 10;
    if (!name[0])
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "apparmor: profile_type Localhost needs a localhost_ref");
    if (!c->daemon->host.oci.apparmor)
        return err_set(err, GRPC_FAILED_PRECONDITION, 0,
                       "apparmor profile %s: this host has no AppArmor: enable it, or ask for Unconfined",
                       name);
    o->apparmor_profile = name;
    return 0;
}

static void take_selinux(struct container *c, struct container_inputs *in, struct oci_container *o)
{
    const Runtime__V1__SELinuxOption *s = security_of(in->config)->selinux_options;

    if (!s || !c->daemon->host.oci.selinux || !s->type[0])
        return;
    o->selinux_label = pool_printf(&in->pool, "%s:%s:%s:%s", s->user[0] ? s->user : "system_u",
                                   s->role[0] ? s->role : "system_r", s->type, s->level[0] ? s->level : "s0");
    o->selinux_mount_label = pool_printf(&in->pool, "%s:object_r:container_file_t:%s",
                                         s->user[0] ? s->user : "system_u", s->level[0] ? s->level : "s0");
}

static int take_resources(struct container *c, struct container_inputs *in, struct oci_container *o,
                          struct err *err)
{
    const Runtime__V1__LinuxContainerResources *r = in->config->linux ? in->config->linux->resources : NULL;

    o->resources.pids_limit = c->daemon->config.pids_limit > 0 ? c->daemon->config.pids_limit : 0;
    if (!r)
        return 0;
    if (r->oom_score_adj < -1000 || r->oom_score_adj > 1000)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "resources.oom_score_adj %ld must be -1000 to 1000",
                       (long)r->oom_score_adj);
    o->oom_score_adj = (int)r->oom_score_adj;
    o->oom_score_adj_set = true;
    o->resources.cpu_shares = r->cpu_shares;
    o->resources.cpu_quota = r->cpu_quota;
    o->resources.cpu_period = r->cpu_period;
    o->resources.memory_limit = r->memory_limit_in_bytes;
    o->resources.memory_swap = r->memory_swap_limit_in_bytes;
    o->resources.cpuset_cpus = r->cpuset_cpus[0] ? r->cpuset_cpus : NULL;
    o->resources.cpuset_mems = r->cpuset_mems[0] ? r->cpuset_mems : NULL;
    o->resources.hugepages =
        pool_alloc(&in->pool, (r->n_hugepage_limits + 1) * sizeof(*o->resources.hugepages));
    o->resources.hugepages_n = r->n_hugepage_limits;
    for (size_t i = 0; i < r->n_hugepage_limits; i++)
        o->resources.hugepages[i] =
            (struct oci_hugepage){r->hugepage_limits[i]->page_size, r->hugepage_limits[i]->limit};
    kv_of_map(&o->resources.unified, r->unified, r->n_unified);
    return 0;
}

static void choose_namespaces(struct container *c, struct container_inputs *in, struct oci_container *o)
{
    const Runtime__V1__NamespaceOption *ns = security_of(in->config)->namespace_options;
    Runtime__V1__NamespaceMode pid = ns ? ns->pid : RUNTIME__V1__NAMESPACE_MODE__POD;
    struct pod *pod = container_pod(c);
    struct pool *p = &in->pool;
    struct err ignored;

    o->ns_mnt.create = true;
    /* as containerd: a cgroup namespace of its own where there is the unified hierarchy alone */
    o->ns_cgroup.create = c->daemon->host.oci.cgroup_v2 && !o->privileged;
    if (!pod->host_network) {
        o->ns_net.path = pool_keep(p, pod_path(pod, "ns/net"));
        o->ns_uts.path = pool_keep(p, pod_path(pod, "ns/uts"));
    }
    if (!pod->host_ipc)
        o->ns_ipc.path = pool_keep(p, pod_path(pod, "ns/ipc"));
    if (pid == RUNTIME__V1__NAMESPACE_MODE__CONTAINER) {
        o->ns_pid.create = true;
    } else if (pid == RUNTIME__V1__NAMESPACE_MODE__TARGET) {
        struct container *t = container_find(c->daemon->containers, ns->target_id, &ignored);
        o->ns_pid.path = pool_printf(p, "/proc/%d/ns/pid", t ? t->pid : 0);
    } else if (!pod->host_pid) {
        o->ns_pid.path = pool_printf(p, "/proc/%d/ns/pid", pod->infra_pid);
    }
    c->shared_pid = !o->ns_pid.create;
}

int container_spec_build(struct container *c, struct container_inputs *in, char **ret_json, struct err *err)
{
    const Runtime__V1__LinuxContainerSecurityContext *sec = security_of(in->config);
    const Runtime__V1__Capability *caps = sec->capabilities;
    struct daemon *d = c->daemon;
    struct pod *pod = container_pod(c);
    struct pool *p = &in->pool;
    struct oci_container o = {
        .id = c->id,
        .args = in->args,
        .env = build_env(c, in),
        .cwd = in->cwd,
        .tty = in->config->tty,
        .uid = c->uid,
        .gid = c->gid,
        .additional_gids = c->gids,
        .additional_gids_n = c->gids_n,
        .rootfs = pool_keep(p, container_path(c, "rootfs")),
        .readonly_rootfs = sec->readonly_rootfs,
        .devices = in->devices.items,
        .devices_n = in->devices.n,
        .privileged = sec->privileged,
        .host_devices = in->host_devices,
        .no_new_privs = sec->no_new_privs,
        .cap_add = caps ? list_of(p, caps->add_capabilities, caps->n_add_capabilities) : NULL,
        .cap_drop = caps ? list_of(p, caps->drop_capabilities, caps->n_drop_capabilities) : NULL,
        .cap_ambient =
            caps ? list_of(p, caps->add_ambient_capabilities, caps->n_add_ambient_capabilities) : NULL,
        .cap_default = d->config.default_capabilities,
        .masked_paths = sec->privileged ? NULL : list_of(p, sec->masked_paths, sec->n_masked_paths),
        .readonly_paths = sec->privileged ? NULL : list_of(p, sec->readonly_paths, sec->n_readonly_paths),
        .cgroups_path = pool_keep(p, cgroup_spec_path(d->config.cgroup_driver, pod->cgroup_parent, c->id)),
    };
    int r;

    build_mounts(c, in, &o);
    choose_namespaces(c, in, &o);
    kv_set(&o.annotations, "io.kubernetes.cri.container-type", "container");
    kv_set(&o.annotations, "io.kubernetes.cri.container-name", c->name);
    kv_set(&o.annotations, "io.kubernetes.cri.sandbox-id", pod->id);
    kv_set(&o.annotations, "io.kubernetes.cri.sandbox-name", pod->name);
    kv_set(&o.annotations, "io.kubernetes.cri.sandbox-namespace", pod->namespace);
    kv_set(&o.annotations, "io.kubernetes.cri.sandbox-uid", pod->uid);
    kv_set(&o.annotations, "io.kubernetes.cri.image-name", c->image);
    r = choose_seccomp(c, in, &o, err);
    if (r == 0)
        r = choose_apparmor(c, in, &o, err);
    if (r == 0)
        r = take_resources(c, in, &o, err);
    take_selinux(c, in, &o);
    if (r == 0)
        r = oci_spec_build(&o, &d->host.oci, ret_json, err);
    kv_done(&o.annotations);
    kv_done(&o.resources.unified);
    return r;
}
