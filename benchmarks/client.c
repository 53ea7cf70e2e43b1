/* What one core can do at most: the jobs of the bare loop in clients.py, in C.
 *
 *   client URL JOBS TASK_MS    64 jobs at once; a connection is kept, and has one job at a time
 *
 * A job is a create, the time that its task takes, queries until it is done, and a picture that is
 * read and forgotten. An answer that is not as expected ends the program with a word about it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define AT_ONCE 64
#define ROOM (1 << 20) /* of an answer */
#define LONGEST 512    /* of a value in an answer, and of a URL */

enum awaited { TASK, STATUS, PICTURE };

struct job {
    int fd;
    enum awaited awaited;
    long due_ns;       /* when to ask; 0: not waiting */
    char id[LONGEST];  /* of the task */
    char *in;          /* the answer so far */
    size_t have, head, whole; /* whole is 0 until the head has come */
};

static struct job jobs[AT_ONCE];
static long wanted, begun, ended, task_ns;
static int port;
static char base[LONGEST]; /* the path of the API */

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *words, ...) {
    va_list values;
    va_start(values, words);
    fputs("client: ", stderr);
    vfprintf(stderr, words, values);
    fputc('\n', stderr);
    exit(1);
}

static long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

/* The text of a member; members of one name are not told from each other, as no answer has two. */
static void member(const char *body, const char *name, char value[LONGEST]) {
    char key[64];
    snprintf(key, sizeof key, "\"%s\":\"", name);
    const char *at = strstr(body, key), *end;
    if (!at || !(end = strpbrk(at += strlen(key), "\"\\")) || *end == '\\' || end - at >= LONGEST)
        fail("no %s to read in %s", name, body);
    memcpy(value, at, (size_t)(end - at));
    value[end - at] = 0;
}

__attribute__((format(printf, 3, 4))) static void ask(
    struct job *job, enum awaited awaited, const char *words, ...) {
    char request[4 * LONGEST];
    va_list values;
    va_start(values, words);
    int size = vsnprintf(request, sizeof request, words, values);
    va_end(values);
    if (size >= (int)sizeof request) fail("a request of %d bytes", size);
    if (send(job->fd, request, (size_t)size, MSG_NOSIGNAL) != size) fail("a request was not sent");
    job->awaited = awaited;
    job->have = job->whole = 0;
    job->due_ns = 0;
}

#define HEADERS \
    "Host: 127.0.0.1:%d\r\nAccept: */*\r\nAuthorization: Bearer sk-bench\r\nX-DashScope-Async: enable\r\n"

static void create(struct job *job) {
    char body[LONGEST];
    if (begun == wanted) {
        close(job->fd);
        return;
    }
    int size = snprintf(body, sizeof body,
        "{\"model\": \"wanx-v1\", \"input\": {\"prompt\": \"a paper lantern over the river, picture %ld\"}, "
        "\"parameters\": {\"style\": \"<watercolor>\", \"size\": \"1024*1024\", \"n\": 1}}",
        begun++);
    ask(job, TASK,
        "POST %s/services/aigc/text2image/image-synthesis HTTP/1.1\r\n" HEADERS
        "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
        base, port, size, body);
}

static void query(struct job *job) {
    ask(job, STATUS, "GET %s/tasks/%s HTTP/1.1\r\n" HEADERS "\r\n", base, job->id, port);
}

static void wait_for(struct job *job, long ns) {
    job->due_ns = now_ns() + ns;
    if (!ns) query(job);
}

static void download(struct job *job, const char *body) {
    char url[LONGEST], here[LONGEST];
    member(body, "url", url);
    int size = snprintf(here, sizeof here, "http://127.0.0.1:%d/", port);
    if (strncmp(url, here, (size_t)size)) fail("a picture elsewhere: %s", url);
    ask(job, PICTURE, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: */*\r\n\r\n", url + size - 1, port);
}

static void go_on(struct job *job) {
    char status[LONGEST], *body = job->in + job->head;
    switch (job->awaited) {
    case TASK:
        member(body, "task_id", job->id);
        wait_for(job, task_ns);
        break;
    case STATUS:
        member(body, "task_status", status);
        if (!strcmp(status, "SUCCEEDED"))
            download(job, body);
        else if (!strcmp(status, "RUNNING") || !strcmp(status, "PENDING"))
            wait_for(job, task_ns / 10);
        else
            fail("a task is %s", status);
        break;
    case PICTURE:
        if (job->whole - job->head < 8 || memcmp(body, "\x89PNG\r\n\x1a\n", 8)) fail("no picture came");
        ended++;
        create(job);
        break;
    }
}

static void read_head(struct job *job) {
    const char *end = strstr(job->in, "\r\n\r\n"), *field;
    if (!end) return;
    if (strncmp(job->in, "HTTP/1.1 200 ", 13)) fail("an answer began with %.40s", job->in);
    field = strcasestr(job->in, "\r\ncontent-length:");
    if (!field || field > end) fail("an answer does not say its length");
    job->head = (size_t)(end + 4 - job->in);
    job->whole = job->head + strtoul(field + 17, NULL, 10);
    if (job->whole > ROOM) fail("an answer of %zu bytes", job->whole);
}

static void take(struct job *job) {
    ssize_t size = recv(job->fd, job->in + job->have, ROOM - job->have, 0);
    if (size <= 0) fail("a connection ended");
    if (job->due_ns) fail("an answer that nothing asked for");
    job->have += (size_t)size;
    job->in[job->have] = 0;
    if (!job->whole) read_head(job);
    if (!job->whole || job->have < job->whole) return;
    if (job->have > job->whole) fail("an answer that nothing asked for");
    go_on(job);
}

/* Queries those that are due; gives the milliseconds until the next one is, -1 for none. */
static int ask_due(void) {
    long now = now_ns(), next = 0;
    for (struct job *job = jobs; job < jobs + AT_ONCE; job++) {
        if (!job->due_ns) continue;
        if (job->due_ns <= now)
            query(job);
        else if (!next || job->due_ns < next)
            next = job->due_ns;
    }
    return next ? (int)((next - now + 999999) / 1000000) : -1;
}

static void open_all(int events) {
    struct sockaddr_in server = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    for (struct job *job = jobs; job < jobs + AT_ONCE && begun < wanted; job++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = job};
        job->fd = socket(AF_INET, SOCK_STREAM, 0);
        job->in = malloc(ROOM + 1);
        if (job->fd < 0 || !job->in) fail("no connection can be made");
        if (connect(job->fd, (struct sockaddr *)&server, sizeof server)) fail("port %d does not answer", port);
        setsockopt(job->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        epoll_ctl(events, EPOLL_CTL_ADD, job->fd, &event);
        create(job);
    }
}

int main(int argc, char **argv) {
    if (argc != 4 || sscanf(argv[1], "http://127.0.0.1:%d%511s", &port, base) != 2)
        fail("client http://127.0.0.1:PORT/PATH JOBS TASK_MS");
    wanted = atol(argv[2]);
    task_ns = atol(argv[3]) * 1000000;
    int events = epoll_create1(0);
    struct epoll_event ready[AT_ONCE];
    open_all(events);
    while (ended < wanted) {
        int count = epoll_wait(events, ready, AT_ONCE, ask_due());
        for (int at = 0; at < count; at++) take(ready[at].data.ptr);
    }
    return 0;
}
