/* The load generator of `make bench`: many websockets to one server, from one thread, counted exactly.
 *
 * Commands come on standard input, one a line; answers go to standard output, one JSON object a line:
 *   wait EVENTS SECONDS   events 0..EVENTS-1 are due; answers when every reading client has them, or after SECONDS
 *   value NUMBER SECONDS  answers when the last value of --watch is NUMBER at every client, or after SECONDS
 *   reset                 discards the latencies so far, but not the counts of faults
 *   report                answers with all counts
 *   stop                  the same, then ends
 * Events carry "n": their number from 0, and "t": CLOCK_MONOTONIC in nanoseconds when they were published.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES (256 * 1024)
#define EPOLL_EVENTS 512
/* A server that sends a frame of more bytes is broken, not slow. */
#define HELD_LIMIT (64u * 1024 * 1024)
#define EVENT_LIMIT (1u << 22)
/* As on Ethernet: with loopback's segments of 64 KB the kernel itself would hold megabytes for a stalled reader. */
#define STALL_SEGMENT_BYTES 1448
#define COMMAND_BYTES 256
/* Of a frame to the server; longer ones would need another form of length. */
#define SENT_BYTES 4096

enum state { UNOPENED, CONNECTING, UPGRADING, JOINING, OPEN, CLOSED };

/* The received bytes of an incomplete head, frame or message. */
struct bytes {
    char *at;
    size_t length, room;
};

struct client {
    int fd;
    enum state state;
    bool stalled;
    uint16_t close_code;
    struct bytes held;    /* an incomplete response head or frame */
    struct bytes message; /* fragments of an incomplete message */
    uint64_t *seen;       /* one bit for each event number */
    uint32_t seen_words, distinct, next;
    int64_t value;
    int64_t value_at;
};

static struct {
    const char *host, *path, *cookies, *watch, *centrifugo;
    const char *headers[16];
    int header_count, port, clients, concurrency, stall, stall_bytes;
    double connect_seconds;
    bool socketio, spin;
} options = {.host = "127.0.0.1", .path = "/", .clients = 1, .concurrency = 64, .connect_seconds = 60};

static struct {
    uint64_t deliveries, unnumbered, duplicated, reordered, bytes, malformed, pings;
    uint32_t refused, failed, closed, stalled_closed, open;
    uint32_t status[600], codes[65536];
    uint32_t *samples; /* latencies in tenths of a microsecond */
    size_t sample_count, sample_room;
} counted;

static struct client *clients;
static char **cookie_lines;
static int epoll_fd;
static int started, in_flight;
static bool connected_is_reported;
static int64_t connect_begin, connect_end;
static double connect_cpu;
/* Time of work on received data, without the busy waiting of --spin. */
static int64_t working;

/* The condition that the driver waits for. */
static enum { NOTHING, EVENTS, VALUE } waiting;
static uint32_t due;
static int64_t wanted_value, wait_begin, wait_deadline;
static int reading, complete;

static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("client: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static double cpu_seconds(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return used.tv_sec + used.tv_nsec / 1e9;
}

static void *must(void *memory)
{
    if (!memory)
        fail("out of memory");
    return memory;
}

static void append(struct bytes *to, const char *data, size_t length)
{
    if (to->length + length > HELD_LIMIT)
        fail("a server sent a frame or head of more than %u bytes", HELD_LIMIT);
    if (to->length + length > to->room) {
        to->room = (to->length + length) * 2;
        to->at = must(realloc(to->at, to->room));
    }
    memcpy(to->at + to->length, data, length);
    to->length += length;
}

static void clear(struct bytes *what)
{
    free(what->at);
    *what = (struct bytes){0};
}

/* ---- counts ---- */

static bool is_complete(const struct client *client)
{
    return waiting == EVENTS ? client->distinct >= due : client->value == wanted_value;
}

static void count_reading(void)
{
    reading = complete = 0;
    for (int i = 0; i < options.clients; i++) {
        struct client *client = &clients[i];
        if (client->state == OPEN && !client->stalled) {
            reading++;
            complete += is_complete(client);
        }
    }
}

static void sample(int64_t nanoseconds)
{
    if (counted.sample_count == counted.sample_room) {
        counted.sample_room = counted.sample_room ? counted.sample_room * 2 : 1 << 16;
        counted.samples = must(realloc(counted.samples, counted.sample_room * sizeof *counted.samples));
    }
    int64_t tenths = nanoseconds < 0 ? 0 : nanoseconds / 100;
    counted.samples[counted.sample_count++] = tenths > UINT32_MAX ? UINT32_MAX : (uint32_t)tenths;
}

static void count_event(struct client *client, uint32_t n, int64_t published)
{
    uint32_t word = n / 64;
    if (word >= client->seen_words) {
        uint32_t words = word * 2 + 16;
        client->seen = must(realloc(client->seen, words * sizeof *client->seen));
        memset(client->seen + client->seen_words, 0, (words - client->seen_words) * sizeof *client->seen);
        client->seen_words = words;
    }
    uint64_t bit = (uint64_t)1 << (n % 64);
    if (client->seen[word] & bit) {
        counted.duplicated++;
        return;
    }
    client->seen[word] |= bit;
    client->distinct++;
    counted.deliveries++;
    if (n < client->next)
        counted.reordered++;
    else
        client->next = n + 1;
    if (published >= 0)
        sample(now_ns() - published);
    if (waiting == EVENTS && client->distinct == due)
        complete++;
}

/* The number after "key": in a JSON text; false if there is none. */
static bool find_number(const char *text, size_t length, const char *key, int64_t *number)
{
    size_t key_length = strlen(key);
    const char *end = text + length;
    const char *at = memmem(text, length, key, key_length);
    if (!at)
        return false;
    at += key_length;
    while (at < end && *at == ' ')
        at++;
    int64_t value = 0;
    const char *digits = at;
    for (; at < end && *at >= '0' && *at <= '9'; at++)
        value = value * 10 + (*at - '0');
    *number = value;
    return at > digits;
}

static void take_text(struct client *client, const char *text, size_t length)
{
    int64_t n, published;
    if (options.watch) {
        if (find_number(text, length, options.watch, &n)) {
            if (waiting == VALUE)
                complete += (n == wanted_value) - (client->value == wanted_value);
            client->value = n;
            client->value_at = now_ns();
            counted.deliveries++;
        } else {
            counted.unnumbered++;
        }
        return;
    }
    if (!find_number(text, length, "\"n\":", &n) || n >= EVENT_LIMIT) {
        counted.unnumbered++;
        return;
    }
    if (!find_number(text, length, "\"t\":", &published))
        published = -1;
    count_event(client, (uint32_t)n, published);
}

/* ---- connections ---- */

static void drop(struct client *client)
{
    bool was_open = client->state == OPEN;
    if (client->state > UNOPENED && client->state < OPEN) {
        counted.failed++;
        in_flight--;
    }
    if (was_open) {
        counted.open--;
        if (client->stalled) {
            counted.stalled_closed++;
        } else {
            counted.closed++;
            if (waiting) {
                reading--;
                complete -= is_complete(client);
            }
        }
        counted.codes[client->close_code ? client->close_code : 1006]++;
    }
    client->state = CLOSED;
    close(client->fd);
    client->fd = -1;
    clear(&client->held);
    clear(&client->message);
}

static void send_frame(struct client *client, uint8_t opcode, const char *body, size_t length)
{
    /* RFC 6455 requires a mask; nothing here is secret, so any mask is good enough. */
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    uint8_t frame[8 + SENT_BYTES];
    size_t head = length > 125 ? 8 : 6;
    if (length > SENT_BYTES || (opcode >= 8 && length > 125))
        fail("a frame of %zu bytes cannot be sent", length);
    frame[0] = 0x80 | opcode;
    frame[1] = (uint8_t)(0x80 | (length > 125 ? 126 : length));
    if (length > 125) {
        frame[2] = (uint8_t)(length >> 8);
        frame[3] = (uint8_t)length;
    }
    memcpy(frame + head - 4, mask, 4);
    for (size_t i = 0; i < length; i++)
        frame[head + i] = (uint8_t)body[i] ^ mask[i % 4];
    /* These frames are small: a socket without room for one counts as lost, and appears as closed. */
    if (send(client->fd, frame, head + length, MSG_NOSIGNAL) != (ssize_t)(head + length))
        counted.malformed++;
}

static void opened(struct client *client)
{
    client->state = OPEN;
    counted.open++;
    in_flight--;
    if (client->stalled) {
        /* epoll always reports the end of a connection, which is the only event of interest from now on. */
        struct epoll_event none = {.events = 0, .data.ptr = client};
        epoll_ctl(epoll_fd, EPOLL_CTL_MOD, client->fd, &none);
    }
}

/* Engine.IO 4: `0{...}` opens, `40` joins the main namespace, `2` is a ping that `3` answers. */
static bool take_engine_io(struct client *client, const char *text, size_t length)
{
    if (length && text[0] == '0') {
        client->state = JOINING;
        send_frame(client, 1, "40", 2);
        return true;
    }
    if (length == 1 && text[0] == '2') {
        counted.pings++;
        send_frame(client, 1, "3", 1);
        return true;
    }
    if (client->state == JOINING && length >= 2 && text[0] == '4' && text[1] == '0') {
        opened(client);
        return true;
    }
    return false;
}

/* Centrifugo's protocol in JSON: commands and replies are lines, of which a frame can have several. */
static void join_centrifugo(struct client *client)
{
    char commands[SENT_BYTES];
    int length = snprintf(commands, sizeof commands,
                          "{\"id\":1,\"connect\":{\"token\":\"%s\"}}\n{\"id\":2,\"subscribe\":{\"channel\":\"bench\"}}",
                          options.centrifugo);
    if (length >= (int)sizeof commands)
        fail("--centrifugo has a token of more than %d bytes", SENT_BYTES);
    client->state = JOINING;
    send_frame(client, 1, commands, (size_t)length);
}

static void take_centrifugo(struct client *client, const char *text, size_t length)
{
    const char *end = text + length;
    while (text < end && client->state != CLOSED) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        size_t line = (size_t)((line_end ? line_end : end) - text);
        if (line == 2) { /* `{}` is a ping, and its answer */
            counted.pings++;
            send_frame(client, 1, "{}", 2);
        } else if (client->state == JOINING && memmem(text, line, "\"error\":", 8)) {
            fail("Centrifugo answered %.*s", (int)line, text);
        } else if (client->state == JOINING && memmem(text, line, "\"subscribe\":", 12)) {
            opened(client);
        } else if (memmem(text, line, "\"push\":", 7)) {
            take_text(client, text, line);
        }
        text += line + 1;
    }
}

static void take_message(struct client *client, uint8_t opcode, const char *body, size_t length)
{
    switch (opcode) {
    case 1:
    case 2:
        if (options.centrifugo)
            take_centrifugo(client, body, length);
        else if (!options.socketio || !take_engine_io(client, body, length))
            take_text(client, body, length);
        return;
    case 8:
        if (length >= 2)
            client->close_code = (uint16_t)((uint8_t)body[0] << 8 | (uint8_t)body[1]);
        send_frame(client, 8, body, length >= 2 ? 2 : 0);
        return;
    case 9:
        counted.pings++;
        send_frame(client, 10, body, length);
        return;
    case 10:
        return;
    }
    counted.malformed++;
}

/* Handles one frame; returns its length in bytes, or 0 if it is incomplete. */
static size_t take_frame(struct client *client, const char *data, size_t length)
{
    if (length < 2)
        return 0;
    bool final = data[0] & 0x80;
    uint8_t opcode = data[0] & 0x0f;
    uint64_t body = data[1] & 0x7f;
    size_t head = 2;
    if (body == 126) {
        if (length < 4)
            return 0;
        body = (uint64_t)(uint8_t)data[2] << 8 | (uint8_t)data[3];
        head = 4;
    } else if (body == 127) {
        if (length < 10)
            return 0;
        body = 0;
        for (int i = 2; i < 10; i++)
            body = body << 8 | (uint8_t)data[i];
        head = 10;
    }
    if (body > HELD_LIMIT)
        fail("a server announced a frame of %llu bytes", (unsigned long long)body);
    if (length < head + body)
        return 0;
    if (data[1] & 0x80)
        counted.malformed++; /* a server must not mask */
    if (opcode >= 8 || (final && opcode != 0)) {
        take_message(client, opcode, data + head, body);
    } else {
        append(&client->message, data + head, body);
        if (final) {
            take_message(client, 1, client->message.at, client->message.length);
            client->message.length = 0;
        }
    }
    return head + body;
}

/* Handles the response's head; returns its length, or 0 if it is incomplete. Drops a refused client. */
static size_t take_head(struct client *client, const char *data, size_t length)
{
    const char *end = memmem(data, length, "\r\n\r\n", 4);
    if (!end)
        return 0;
    int status = length > 12 ? atoi(data + 9) : 0;
    if (status < 0 || status >= 600)
        status = 0;
    counted.status[status]++;
    if (status != 101) {
        counted.refused++;
        counted.failed--; /* `drop` counts it as failed; it was refused */
        drop(client);
        return length;
    }
    if (options.centrifugo)
        join_centrifugo(client);
    else if (options.socketio)
        client->state = JOINING;
    else
        opened(client);
    return (size_t)(end - data) + 4;
}

static void take_bytes(struct client *client, const char *data, size_t length)
{
    bool held = client->held.length > 0;
    if (held) {
        append(&client->held, data, length);
        data = client->held.at;
        length = client->held.length;
    }
    size_t taken = 0;
    while (taken < length && client->state != CLOSED && !(client->stalled && client->state == OPEN)) {
        size_t one = client->state == UPGRADING ? take_head(client, data + taken, length - taken)
                                                : take_frame(client, data + taken, length - taken);
        if (!one)
            break;
        taken += one;
    }
    if (client->state == CLOSED)
        return;
    size_t rest = length - taken;
    if (held) {
        memmove(client->held.at, data + taken, rest);
        client->held.length = rest;
    } else if (rest) {
        append(&client->held, data + taken, rest);
    }
}

static void on_readable(struct client *client)
{
    static char buffer[READ_BYTES];
    for (;;) {
        ssize_t length = recv(client->fd, buffer, sizeof buffer, 0);
        if (length > 0) {
            counted.bytes += (uint64_t)length;
            take_bytes(client, buffer, (size_t)length);
            if (client->state == CLOSED || client->stalled || length < (ssize_t)sizeof buffer)
                return;
        } else if (length < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        } else {
            drop(client);
            return;
        }
    }
}

static void upgrade(struct client *client)
{
    char request[8192];
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        drop(client);
        return;
    }
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
                          options.path, options.host, options.port);
    for (int i = 0; i < options.header_count; i++)
        length += snprintf(request + length, sizeof request - (size_t)length, "%s\r\n", options.headers[i]);
    if (cookie_lines)
        length += snprintf(request + length, sizeof request - (size_t)length, "%s\r\n", cookie_lines[client - clients]);
    length += snprintf(request + length, sizeof request - (size_t)length, "\r\n");
    if (length >= (int)sizeof request)
        fail("the request's head has %d bytes, %zu at most", length, sizeof request);
    client->state = UPGRADING;
    struct epoll_event readable = {.events = EPOLLIN, .data.ptr = client};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, client->fd, &readable);
    if (send(client->fd, request, (size_t)length, MSG_NOSIGNAL) != length)
        drop(client);
}

static void start_one(void)
{
    struct client *client = &clients[started++];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    if (inet_pton(AF_INET, options.host, &address.sin_addr) != 1)
        fail("--host %s is no IPv4 address", options.host);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0)
        fail("socket %d: %s (raise the limit of open files)", started, strerror(errno));
    int on = 1;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    client->stalled = started <= options.stall;
    if (client->stalled && options.stall_bytes) {
        int segment = STALL_SEGMENT_BYTES;
        setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &options.stall_bytes, sizeof options.stall_bytes);
        setsockopt(client->fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    }
    client->state = CONNECTING;
    client->value = -1;
    in_flight++;
    struct epoll_event writable = {.events = EPOLLOUT, .data.ptr = client};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, client->fd, &writable))
        fail("epoll_ctl: %s", strerror(errno));
    if (connect(client->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS)
        drop(client);
}

/* ---- answers ---- */

static void say_counts(const char *name, const uint32_t *counts, size_t length)
{
    const char *comma = "";
    printf("\"%s\":{", name);
    for (size_t i = 0; i < length; i++)
        if (counts[i]) {
            printf("%s\"%zu\":%u", comma, i, counts[i]);
            comma = ",";
        }
    printf("}");
}

static void say_connected(void)
{
    connected_is_reported = true;
    connect_end = now_ns();
    connect_cpu = cpu_seconds() - connect_cpu;
    printf("{\"event\":\"connected\",\"open\":%u,\"refused\":%u,\"failed\":%u,\"seconds\":%.6f,\"cpu_seconds\":%.6f,",
           counted.open, counted.refused, counted.failed, (connect_end - connect_begin) / 1e9, connect_cpu);
    say_counts("status", counted.status, 600);
    puts("}");
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The quantile in milliseconds: the smallest latency that at least this share of all does not exceed. */
static double quantile(double share)
{
    size_t rank = (size_t)(share * (double)counted.sample_count);
    if ((double)rank < share * (double)counted.sample_count)
        rank++;
    return counted.samples[rank ? rank - 1 : 0] / 1e4;
}

static void say_latency(void)
{
    static const struct {
        const char *name;
        double share;
    } quantiles[] = {{"p50", 0.50}, {"p90", 0.90}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}};
    printf("\"latency_ms\":{\"samples\":%zu", counted.sample_count);
    if (counted.sample_count) {
        qsort(counted.samples, counted.sample_count, sizeof *counted.samples, by_size);
        for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
            printf(",\"%s\":%.4f", quantiles[i].name, quantile(quantiles[i].share));
    }
    printf("}");
}

static void say_report(void)
{
    uint64_t lost = 0;
    for (int i = 0; i < options.clients; i++)
        if (!clients[i].stalled && clients[i].distinct < due)
            lost += due - clients[i].distinct;
    printf("{\"event\":\"report\",\"clients\":%d,\"open\":%u,\"refused\":%u,\"failed\":%u,\"closed\":%u,"
           "\"stalled\":%d,\"stalled_closed\":%u,\"due\":%u,\"deliveries\":%llu,\"lost\":%llu,\"duplicated\":%llu,"
           "\"reordered\":%llu,\"unnumbered\":%llu,\"malformed\":%llu,\"pings\":%llu,\"bytes\":%llu,"
           "\"cpu_seconds\":%.6f,\"work_seconds\":%.6f,",
           options.clients, counted.open, counted.refused, counted.failed, counted.closed, options.stall,
           counted.stalled_closed, due, (unsigned long long)counted.deliveries, (unsigned long long)lost,
           (unsigned long long)counted.duplicated, (unsigned long long)counted.reordered,
           (unsigned long long)counted.unnumbered, (unsigned long long)counted.malformed,
           (unsigned long long)counted.pings, (unsigned long long)counted.bytes, cpu_seconds(), working / 1e9);
    say_counts("close_codes", counted.codes, 65536);
    printf(",");
    say_latency();
    puts("}");
}

static void say_waited(void)
{
    int64_t last = now_ns();
    if (waiting == VALUE && complete == reading) {
        last = 0;
        for (int i = 0; i < options.clients; i++)
            if (clients[i].state == OPEN && !clients[i].stalled && clients[i].value_at > last)
                last = clients[i].value_at;
    }
    /* Of a value: since the start of the first connection, because a storm begins there. */
    int64_t since = waiting == VALUE ? connect_begin : wait_begin;
    printf("{\"event\":\"waited\",\"complete\":%s,\"missing\":%d,\"seconds\":%.6f,\"deliveries\":%llu,"
           "\"cpu_seconds\":%.6f}\n",
           reading && complete == reading ? "true" : "false", reading - complete, (last - since) / 1e9,
           (unsigned long long)counted.deliveries, cpu_seconds());
    waiting = NOTHING;
}

/* ---- commands ---- */

static void wait_for(double seconds)
{
    wait_begin = now_ns();
    wait_deadline = wait_begin + (int64_t)(seconds * 1e9);
    count_reading();
}

static void run_command(const char *command)
{
    unsigned events;
    long long value;
    double seconds;
    if (sscanf(command, "wait %u %lf", &events, &seconds) == 2 && events >= due && events <= EVENT_LIMIT) {
        due = events;
        waiting = EVENTS;
        wait_for(seconds);
    } else if (sscanf(command, "value %lld %lf", &value, &seconds) == 2 && options.watch) {
        wanted_value = value;
        waiting = VALUE;
        wait_for(seconds);
    } else if (!strcmp(command, "reset")) {
        counted.sample_count = 0;
        puts("{\"event\":\"reset\"}");
    } else if (!strcmp(command, "report")) {
        say_report();
    } else if (!strcmp(command, "stop")) {
        say_report();
        exit(0);
    } else {
        fail("the command %s is not understood", command);
    }
}

static void on_commands(void)
{
    static char line[COMMAND_BYTES];
    static size_t length;
    ssize_t got = read(0, line + length, sizeof line - 1 - length);
    if (got <= 0)
        exit(0); /* the driver has ended */
    length += (size_t)got;
    line[length] = 0;
    for (char *end; (end = strchr(line, '\n')); ) {
        *end = 0;
        run_command(line);
        length -= (size_t)(end + 1 - line);
        memmove(line, end + 1, length + 1);
    }
    if (length == sizeof line - 1)
        fail("a command has more than %d bytes", COMMAND_BYTES);
}

/* ---- the loop ---- */

/* The sender pays for waking a sleeping client on its own machine, but not for waking a remote one. */
static bool spinning(void)
{
    return options.spin && waiting == EVENTS;
}

static int timeout_ms(void)
{
    if (spinning())
        return 0;
    int64_t until = INT64_MAX;
    if (!connected_is_reported)
        until = connect_begin + (int64_t)(options.connect_seconds * 1e9);
    if (waiting && wait_deadline < until)
        until = wait_deadline;
    if (until == INT64_MAX)
        return -1;
    int64_t left = (until - now_ns()) / 1000000 + 1;
    return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

static void look_around(void)
{
    if (!connected_is_reported) {
        bool late = now_ns() - connect_begin > (int64_t)(options.connect_seconds * 1e9);
        if (late)
            for (int i = 0; i < started; i++)
                if (clients[i].state > UNOPENED && clients[i].state < OPEN)
                    drop(&clients[i]);
        while (!late && started < options.clients && in_flight < options.concurrency)
            start_one();
        if (late || (started == options.clients && !in_flight))
            say_connected();
    }
    if (waiting && (complete == reading || now_ns() > wait_deadline))
        say_waited();
}

static void run(void)
{
    static struct epoll_event ready[EPOLL_EVENTS];
    for (;;) {
        look_around();
        int count = epoll_wait(epoll_fd, ready, EPOLL_EVENTS, timeout_ms());
        if (count < 0 && errno != EINTR)
            fail("epoll_wait: %s", strerror(errno));
        if (count == 0 && spinning())
            sched_yield(); /* Redis or the publisher, which share this core, must run first */
        int64_t began = count > 0 ? now_ns() : 0;
        for (int i = 0; i < count; i++) {
            struct client *client = ready[i].data.ptr;
            if (!client)
                on_commands();
            else if (client->state == CLOSED)
                continue;
            else if (client->state == CONNECTING)
                upgrade(client);
            else if (client->stalled && client->state == OPEN)
                drop(client);
            else
                on_readable(client);
        }
        if (count > 0)
            working += now_ns() - began;
    }
}

static void read_cookies(void)
{
    FILE *file = fopen(options.cookies, "r");
    if (!file)
        fail("--cookies %s: %s", options.cookies, strerror(errno));
    cookie_lines = must(calloc((size_t)options.clients, sizeof *cookie_lines));
    size_t room = 0;
    for (int i = 0; i < options.clients; i++) {
        ssize_t length = getline(&cookie_lines[i], &room, file);
        if (length <= 0)
            fail("--cookies %s has %d lines, one for each of %d clients is needed", options.cookies, i, options.clients);
        cookie_lines[i][strcspn(cookie_lines[i], "\r\n")] = 0;
        room = 0;
    }
    fclose(file);
}

static void read_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"host", 1, 0, 'h'},     {"port", 1, 0, 'p'},        {"path", 1, 0, 'P'},     {"clients", 1, 0, 'c'},
        {"header", 1, 0, 'H'},   {"cookies", 1, 0, 'C'},     {"concurrency", 1, 0, 'x'}, {"stall", 1, 0, 's'},
        {"stall-bytes", 1, 0, 'b'}, {"connect-seconds", 1, 0, 't'}, {"watch", 1, 0, 'w'}, {"socketio", 0, 0, 'i'},
        {"spin", 0, 0, 'S'},     {"centrifugo", 1, 0, 'F'},  {0, 0, 0, 0}};
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1; )
        switch (option) {
        case 'h': options.host = optarg; break;
        case 'p': options.port = atoi(optarg); break;
        case 'P': options.path = optarg; break;
        case 'c': options.clients = atoi(optarg); break;
        case 'C': options.cookies = optarg; break;
        case 'x': options.concurrency = atoi(optarg); break;
        case 's': options.stall = atoi(optarg); break;
        case 'b': options.stall_bytes = atoi(optarg); break;
        case 't': options.connect_seconds = atof(optarg); break;
        case 'i': options.socketio = true; break;
        case 'S': options.spin = true; break;
        case 'F': options.centrifugo = optarg; break;
        case 'w': {
            char *key;
            if (asprintf(&key, "\"%s\":", optarg) < 0)
                fail("out of memory");
            options.watch = key;
            break;
        }
        case 'H':
            if (options.header_count == 16)
                fail("16 headers at most");
            options.headers[options.header_count++] = optarg;
            break;
        default: fail("see the top of client.c for what it understands");
        }
    if (options.port < 1 || options.port > 65535 || options.clients < 1 || options.stall > options.clients)
        fail("--port and --clients are needed, and --stall is at most --clients");
    if (options.concurrency < 1)
        options.concurrency = options.clients;
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < (rlim_t)options.clients + 16)
        fail("%d clients need more open files than the limit of %llu", options.clients,
             (unsigned long long)files.rlim_cur);
    if (options.cookies)
        read_cookies();
    clients = must(calloc((size_t)options.clients, sizeof *clients));
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event commands = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, 0, &commands))
        fail("epoll: %s (standard input must be a pipe)", strerror(errno));
    connect_begin = now_ns();
    connect_cpu = cpu_seconds();
    run();
}
