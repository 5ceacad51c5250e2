/*
 * The load generator: `load <what> <port> <pid> ...` loads the peer at 127.0.0.1:<port>, which is process <pid>. Prints
 * as JSON what it sent, how long the peer took, and the processor time of the peer.
 *
 *   load lines <port> <pid> <mean bytes> <crlf|lf> <seconds>   lines of random length, as fast as possible
 *   load prefixed <port> <pid> <bytes> <seconds>               a length of four bytes (big endian), then the frame
 *   load echo <port> <pid> <connections> <in flight> <seconds> a short line, echoed
 *   load open <port> <pid> <connections>                       connections, a line echoed on each, then idle
 *   load cpu - <pid>                                           the processor time so far, for wrk
 *   load sink                                                  a peer that drops everything: the generator's limit
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char LINE[] = "the quick brown fox jumps over\r\n";
enum { LINE_BYTES = sizeof LINE - 1, MAX_IN_FLIGHT = 1024, BLOCK_BYTES = 1 << 18, MAX_OPENING = 400 };

static int port, pid;

static void fail(const char *what) {
  fprintf(stderr, "load: %s: %s\n", what, errno ? strerror(errno) : "unexpected result");
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

/* Processor seconds of all threads of the peer, ended ones included. */
static double cpu(void) {
  char path[64];
  unsigned long user, system;
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  FILE *file = fopen(path, "r");
  if (!file || fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2) {
    fail(path);
  }
  fclose(file);
  return (double)(user + system) / sysconf(_SC_CLK_TCK);
}

/* Resident memory of the peer, in bytes. */
static double resident(void) {
  char path[64];
  unsigned long pages;
  snprintf(path, sizeof path, "/proc/%d/statm", pid);
  FILE *file = fopen(path, "r");
  if (!file || fscanf(file, "%*u %lu", &pages) != 1) fail(path);
  fclose(file);
  return (double)pages * sysconf(_SC_PAGESIZE);
}

static int dial(int flags) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | flags, 0), on = 1;
  if (fd < 0) fail("socket");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) fail("connect");
  return fd;
}

/* A run of whole frames, sent repeatedly. */
static struct {
  char *bytes;
  size_t size;
  long frames, data;
} block;

static unsigned long long seed = 88172645463325252ULL; /* George Marsaglia's, of "Xorshift RNGs" */

static unsigned random_below(unsigned bound) {
  seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
  return (unsigned)((seed >> 32) % bound);
}

static void add_frame(const char *head, size_t head_bytes, size_t size, const char *tail) {
  block.bytes = realloc(block.bytes, block.size + head_bytes + size + 2);
  memcpy(block.bytes + block.size, head, head_bytes);
  block.size += head_bytes;
  for (size_t i = 0; i < size; i++) block.bytes[block.size++] = "abcdefghijklmnop"[random_below(16)];
  for (; *tail; tail++) block.bytes[block.size++] = *tail;
  block.frames++, block.data += size;
}

/* Sends the block repeatedly, then ends our side and waits for EOF, when the peer has read everything. */
static void stream(double seconds) {
  int fd = dial(0);
  long rounds = 0;
  char answer;
  double cpu_before = cpu(), start = now();
  do {
    size_t sent = 0;
    while (sent < block.size) {
      ssize_t count = send(fd, block.bytes + sent, block.size - sent, MSG_NOSIGNAL);
      if (count < 0) fail("send");
      sent += count;
    }
    rounds++;
  } while (now() < start + seconds);
  shutdown(fd, SHUT_WR);
  if (read(fd, &answer, 1) != 0) fail("waiting for the peer's end");
  printf("{\"seconds\": %.6f, \"cpu\": %.6f, \"count\": %ld, \"data\": %ld, \"wire\": %ld}\n", now() - start,
         cpu() - cpu_before, rounds * block.frames, rounds * block.data, rounds * (long)block.size);
}

static void lines(unsigned mean, const char *end, double seconds) {
  while (block.size < BLOCK_BYTES || block.frames < 16) add_frame("", 0, 1 + random_below(2 * mean - 1), end);
  stream(seconds);
}

static void prefixed(unsigned size, double seconds) {
  unsigned head = htonl(size);
  while (block.size < BLOCK_BYTES) add_frame((char *)&head, sizeof head, size, "");
  stream(seconds);
}

typedef struct {
  int fd;
  long to_send, got; /* bytes */
} Conn;

static void send_due(Conn *conn) {
  static char ahead[MAX_IN_FLIGHT * LINE_BYTES];
  if (!ahead[0]) {
    for (int i = 0; i < MAX_IN_FLIGHT; i++) memcpy(ahead + i * LINE_BYTES, LINE, LINE_BYTES);
  }
  /* At most what is in flight, which fits into the buffer of the socket. */
  if (conn->to_send && send(conn->fd, ahead, conn->to_send, MSG_NOSIGNAL) != conn->to_send) fail("send");
  conn->to_send = 0;
}

/* Reads and checks what was echoed; returns the number of lines completed. */
static long receive(Conn *conn) {
  static char got[1 << 16];
  ssize_t count = recv(conn->fd, got, sizeof got, MSG_DONTWAIT);
  if (count < 0 && errno == EAGAIN) return 0;
  if (count <= 0) fail("receive");
  long before = conn->got / LINE_BYTES;
  for (ssize_t i = 0; i < count; i++, conn->got++) {
    if (got[i] != LINE[conn->got % LINE_BYTES]) errno = 0, fail("echo");
  }
  return conn->got / LINE_BYTES - before;
}

static void watch(int poll, Conn *conn, unsigned events, int how) {
  struct epoll_event event = {.events = events, .data.ptr = conn};
  if (epoll_ctl(poll, how, conn->fd, &event)) fail("epoll");
}

static void echo(int conns, int in_flight, double seconds) {
  Conn *conn = calloc(conns, sizeof *conn);
  int poll = epoll_create1(0);
  for (int i = 0; i < conns; i++) {
    conn[i].fd = dial(0);
    watch(poll, &conn[i], EPOLLIN, EPOLL_CTL_ADD);
  }
  struct epoll_event events[256];
  long done = 0, pending = (long)conns * in_flight;
  double cpu_before = cpu(), start = now(), end = start + seconds;
  for (int i = 0; i < conns; i++) conn[i].to_send = (long)in_flight * LINE_BYTES, send_due(&conn[i]);
  while (pending > 0) {
    int count = epoll_wait(poll, events, 256, 10000);
    if (count <= 0) fail("waiting for an echo");
    int sending = now() < end;
    for (int i = 0; i < count; i++) {
      Conn *it = events[i].data.ptr;
      long lines = receive(it);
      done += lines;
      if (sending) it->to_send = lines * LINE_BYTES, send_due(it);
      else pending -= lines;
    }
  }
  printf("{\"seconds\": %.6f, \"cpu\": %.6f, \"count\": %ld}\n", now() - start, cpu() - cpu_before, done);
}

/* Opens few connections at a time, so that no backlog overflows (Deno's holds 511): a dropped SYN costs a second. */
static void open_many(int conns) {
  Conn *conn = calloc(conns, sizeof *conn);
  int poll = epoll_create1(0), begun = 0, done = 0;
  struct epoll_event events[256];
  double before = resident(), cpu_before = cpu(), start = now();
  while (done < conns) {
    for (; begun < conns && begun < done + MAX_OPENING; begun++) {
      conn[begun].fd = dial(SOCK_NONBLOCK);
      conn[begun].to_send = LINE_BYTES;
      watch(poll, &conn[begun], EPOLLOUT, EPOLL_CTL_ADD);
    }
    int count = epoll_wait(poll, events, 256, 30000);
    if (count <= 0) fail("waiting for an echo");
    for (int i = 0; i < count; i++) {
      Conn *it = events[i].data.ptr;
      if (it->to_send) send_due(it), watch(poll, it, EPOLLIN, EPOLL_CTL_MOD);
      else done += receive(it);
    }
  }
  double seconds = now() - start, used = cpu() - cpu_before;
  usleep(500000); /* idle: memory released now does not count */
  printf("{\"seconds\": %.6f, \"cpu\": %.6f, \"count\": %d, \"bytesEach\": %.1f}\n", seconds, used, conns,
         (resident() - before) / conns);
}

static void sink(void) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof at;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&at, size) || listen(listener, 8)) fail("listen");
  getsockname(listener, (struct sockaddr *)&at, &size);
  printf("%d\n", ntohs(at.sin_port)), fflush(stdout);
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    long total = 0;
    ssize_t count;
    while ((count = recv(fd, NULL, 1 << 16, MSG_TRUNC)) > 0) total += count;
    printf("- %ld\n", total), fflush(stdout);
    close(fd);
  }
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  if (argc > 3) port = atoi(argv[2]), pid = atoi(argv[3]);
  if (!strcmp(what, "lines") && argc == 7) lines(atoi(argv[4]), strcmp(argv[5], "lf") ? "\r\n" : "\n", atof(argv[6]));
  else if (!strcmp(what, "prefixed") && argc == 6) prefixed(atoi(argv[4]), atof(argv[5]));
  else if (!strcmp(what, "echo") && argc == 7) echo(atoi(argv[4]), atoi(argv[5]), atof(argv[6]));
  else if (!strcmp(what, "open") && argc == 5) open_many(atoi(argv[4]));
  else if (!strcmp(what, "cpu") && argc == 4) printf("{\"cpu\": %.6f}\n", cpu());
  else if (!strcmp(what, "sink")) sink();
  else errno = EINVAL, fail("arguments");
  return 0;
}
