/* The published API on loopback, as cheap as a server can be: one thread, epoll, answers from memory.
 *
 *   server PICTURE TASK_MS    prints its port, "create" when the first has come, and serves until it is ended
 *
 * A create makes a task, which is RUNNING for TASK_MS; its id holds when it was made, so that nothing
 * is kept. A task that is done has one picture; GET /count says how many pictures were sent. A caption
 * has no task: its create is answered with the text.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MOST_OPEN 65536
#define ROOM 65536 /* of a request */

struct connection {
    char *in, *out;
    size_t have, ready, sent, room;
};

static struct connection *all[MOST_OPEN];
static char *picture;
static size_t picture_size;
static long task_ms, pictures, requests, creates;
static int port, events;

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void drop(int fd) {
    free(all[fd]->in);
    free(all[fd]->out);
    free(all[fd]);
    all[fd] = NULL;
    close(fd);
}

static void say(struct connection *c, const char *type, const char *body, size_t size) {
    size_t need = c->ready + size + 256;
    if (need > c->room) {
        c->room = need * 2;
        c->out = realloc(c->out, c->room);
        if (!c->out) abort();
    }
    c->ready += (size_t)sprintf(
        c->out + c->ready, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", type, size);
    memcpy(c->out + c->ready, body, size);
    c->ready += size;
}

static void answer(struct connection *c, const char *head) {
    char body[2048], *task = strstr(head, "/tasks/");
    char *line_end = strstr(head, "\r\n");
    int size;
    requests++;
    if (!strncmp(head, "POST ", 5)) {
        char *caption = strstr(head, "/captions ");
        if (!creates++) {
            puts("create");
            fflush(stdout);
        }
        if (caption && caption < line_end)
            size = sprintf(body,
                "{\"output\":{\"text\":\"A lantern.\"},\"usage\":{\"count\":1},\"request_id\":\"r-%ld\"}", requests);
        else
            size = sprintf(body,
                "{\"output\":{\"task_status\":\"PENDING\",\"task_id\":\"t-%ld-%ld\"},\"request_id\":\"r-%ld\"}",
                now_ms(), requests, requests);
    } else if (task && task < line_end) {
        char id[64];
        long made = 0;
        sscanf(task + 7, "%63[a-z0-9-]", id);
        sscanf(id, "t-%ld-", &made);
        if (now_ms() - made < task_ms)
            size = sprintf(body,
                "{\"request_id\":\"r-%ld\",\"output\":{\"task_id\":\"%s\",\"task_status\":\"RUNNING\"}}", requests, id);
        else
            size = sprintf(body,
                "{\"request_id\":\"r-%ld\",\"output\":{\"task_id\":\"%s\",\"task_status\":\"SUCCEEDED\","
                "\"submit_time\":\"2026-01-01 10:00:00.000\",\"scheduled_time\":\"2026-01-01 10:00:00.100\","
                "\"end_time\":\"2026-01-01 10:00:00.200\",\"results\":[{\"url\":"
                "\"http://127.0.0.1:%d/results/%s.png?Expires=1\"}],"
                "\"task_metrics\":{\"TOTAL\":1,\"SUCCEEDED\":1,\"FAILED\":0}},\"usage\":{\"image_count\":1}}",
                requests, id, port, id);
    } else if (!strncmp(head, "GET /count", 10)) {
        size = sprintf(body, "%ld", pictures);
    } else {
        pictures++;
        say(c, "image/png", picture, picture_size);
        return;
    }
    say(c, "application/json", body, (size_t)size);
}

static void flush(int fd) {
    struct connection *c = all[fd];
    while (c->sent < c->ready) {
        ssize_t n = send(fd, c->out + c->sent, c->ready - c->sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN) {
                struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.fd = fd};
                epoll_ctl(events, EPOLL_CTL_MOD, fd, &e);
                return;
            }
            drop(fd);
            return;
        }
        c->sent += (size_t)n;
    }
    c->sent = c->ready = 0;
}

static void take(int fd) {
    struct connection *c = all[fd];
    ssize_t n = recv(fd, c->in + c->have, ROOM - c->have, 0);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN) drop(fd);
        return;
    }
    c->have += (size_t)n;
    c->in[c->have] = 0;
    char *head = c->in, *end;
    while ((end = memmem(head, c->have - (size_t)(head - c->in), "\r\n\r\n", 4))) {
        char *field;
        *end = 0;
        field = strcasestr(head, "\r\ncontent-length:");
        *end = '\r';
        char *next = end + 4 + (field ? atol(field + 17) : 0);
        if (next > c->in + c->have) break;
        answer(c, head);
        head = next;
    }
    c->have -= (size_t)(head - c->in);
    memmove(c->in, head, c->have);
    if (c->have == ROOM) {
        drop(fd); /* no client of a benchmark sends so much */
        return;
    }
    flush(fd);
}

static void welcome(int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
        if (fd >= MOST_OPEN) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        all[fd] = calloc(1, sizeof(struct connection));
        if (!all[fd] || !(all[fd]->in = malloc(ROOM + 1))) abort();
        epoll_ctl(events, EPOLL_CTL_ADD, fd, &e);
    }
}

int main(int argc, char **argv) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    struct stat found;
    if (argc != 3) return 2;
    int file = open(argv[1], O_RDONLY);
    if (file < 0 || fstat(file, &found)) return 2;
    picture_size = (size_t)found.st_size;
    picture = malloc(picture_size);
    if (!picture || read(file, picture, picture_size) != (ssize_t)picture_size) return 2;
    task_ms = atol(argv[2]);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) return 2;
    getsockname(listener, (struct sockaddr *)&address, &length);
    port = ntohs(address.sin_port);
    printf("%d\n", port);
    fflush(stdout);
    events = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = listener}, ready[256];
    epoll_ctl(events, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        int n = epoll_wait(events, ready, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener) {
                welcome(listener);
                continue;
            }
            if (all[fd] && ready[i].events & EPOLLOUT) {
                struct epoll_event quiet = {.events = EPOLLIN, .data.fd = fd};
                epoll_ctl(events, EPOLL_CTL_MOD, fd, &quiet);
                flush(fd);
            }
            if (all[fd] && ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) take(fd);
        }
    }
}
