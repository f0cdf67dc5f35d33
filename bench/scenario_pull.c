/*
 * Pulls of three images: large layers, many layers, many files. Time, CPU, bytes written, disk used after; and what others notice
 * meanwhile: the daemon's memory, and Version on the same connection every 10 ms.
 */
#include "bench/cost.h"
#include "bench/disk.h"
#include "bench/requests.h"
#include "core/mem.h"

#include <math.h>
#include <string.h>

const char *const pull_images[PULL_IMAGES] = {"large", "many", "small"};

enum { PING_EVERY_MS = 10, GONE_AFTER_S = 30, SLACK_KIB = 1024 };

struct pull {
    struct call call, ping;
    double anonymous_kib; /* most that the daemon had meanwhile */
};

/* Waits for the pull and asks for the version meanwhile. */
static void pull_and_ping(struct bench *b, struct pull *p, struct series *pings)
{
    bool pull_ended = false, ping_ended = true;

    conn_start(b->conn, &p->call);
    for (uint64_t due = now_ns(); !pull_ended || !ping_ended;) {
        uint64_t now = now_ns();
        if (ping_ended && !pull_ended && now >= due) {
            conn_start(b->conn, &p->ping);
            ping_ended = false;
            due = now + PING_EVERY_MS * 1000000;
            p->anonymous_kib = fmax(p->anonymous_kib, cost_anonymous_kib(b->daemon));
        }
        struct call *c = conn_next(b->conn, ping_ended && due > now ? (int)((due - now) / 1000000) + 1 : -1);
        if (c == &p->call)
            pull_ended = true;
        if (c != &p->ping)
            continue;
        ping_ended = true;
        if (c->status == GRPC_OK)
            series_add(pings, call_ms(c));
        else
            series_fail(pings, c->message);
    }
}

static void report(struct bench *b, const char *image, const struct pull *p, double cpu_s, double before_kib,
                   const struct disk *before, const struct disk *after)
{
    series_add(series_get(&b->results, "s", "pull %s, time", image), call_ms(&p->call) / 1000);
    series_add(series_get(&b->results, "s", "pull %s, CPU", image), cpu_s);
    struct series *written = series_get(&b->results, "MiB", "pull %s, written", image);
    if (before->written_kib >= 0)
        series_add(written, (after->written_kib - before->written_kib) / 1024);
    else
        series_fail(written, "no block device is under --root");
    series_add(series_get(&b->results, "MiB", "pull %s, disk used after", image),
               (after->used_kib - before->used_kib) / 1024);
    series_add(series_get(&b->results, "KiB", "pull %s, growth of the daemon's memory", image),
               p->anonymous_kib - before_kib);
}

/* Removes the image and waits for its files to go, which a runtime may do later. */
static int remove_image(struct bench *b, const char *reference, double used_kib, struct err *err)
{
    struct call call = {.path = method_path("RemoveImage")};
    struct disk now;

    request_image(&call.request, reference);
    int rc = conn_call(b->conn, &call, err);
    call_done(&call);
    for (int i = 0; !rc && i < GONE_AFTER_S * 10; i++) {
        if ((rc = disk_take(b, &now, err)) < 0 || now.used_kib <= used_kib + SLACK_KIB)
            return rc;
        bench_rest(0.1);
    }
    return rc ? rc
              : err_set(err, GRPC_INTERNAL, 0,
                        "image %s is removed, and its %.0f MiB are there still after %d s", reference,
                        (now.used_kib - used_kib) / 1024, GONE_AFTER_S);
}

static int pull_one(struct bench *b, const char *image, struct err *err)
{
    cleanup_free char *reference = mem_printf("%s/%s:1", b->registry, image);
    struct pull p = {.call.path = method_path("PullImage"), .ping.path = method_path("Version")};
    struct series *pings = series_get(&b->results, "ms", "Version during pull");
    struct disk before, after;
    int rc = disk_take(b, &before, err);

    if (rc < 0)
        return rc;
    request_image(&p.call.request, reference);
    buf_add(&p.ping.request, "\0\0\0\0\0", 5);
    double cpu = cost_cpu_s(b), memory = cost_anonymous_kib(b->daemon);
    pull_and_ping(b, &p, pings);
    cpu = cost_cpu_s(b) - cpu;
    if (p.call.status == GRPC_OK && !(rc = disk_take(b, &after, err))) {
        report(b, image, &p, cpu, memory, &before, &after);
        rc = remove_image(b, reference, before.used_kib, err);
    } else if (!rc) {
        series_fail(series_get(&b->results, "s", "pull %s, time", image), p.call.message);
    }
    call_done(&p.call);
    call_done(&p.ping);
    return rc;
}

static int run(struct bench *b, struct err *err)
{
    int rc = 0;

    if (!b->registry)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "give --registry HOST:PORT/PREFIX with the images large:1, many:1, small:1");
    for (size_t i = 0; !rc && i < PULL_IMAGES; i++)
        rc = pull_one(b, pull_images[i], err);
    struct series *pings = series_get(&b->results, "ms", "Version during pull");
    if (pings->n)
        series_add(series_get(&b->results, "ms", "Version during pull, p99"), series_quantile(pings, 0.99));
    return rc;
}

const struct scenario scenario_pull = {
    "pull", "images of large layers, many layers, many files: time, CPU, disk, memory", true, run};
