// The client side of the benchmarks: sends as fast as it is taken, asks and waits, or opens connections and stays.
//
//   load stream PORT SECONDS < pattern    sends the pattern again and again; prints the seconds to the answer, how many
//                                         patterns, and the answer, in which the peer says what it has counted
//   load echo PORT SECONDS CONNS FLIGHT   on each connection so many short lines on their way; prints lines and seconds
//   load idle PORT CONNS                  opens connections, has one line come back on each; prints the seconds, and
//                                         stays until its input ends
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

static const char LINE[] = "hello, this is a line\r\n";
enum { LENGTH = sizeof LINE - 1, MOST_FLIGHT = 64, AT_A_TIME = 64 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int dial(int port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  if (fd < 0 || connect(fd, (void *)&to, sizeof to) < 0) fail("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

static void send_all(int fd, const char *data, size_t size) {
  while (size > 0) {
    ssize_t n = write(fd, data, size < 262144 ? size : 262144);
    if (n < 0) fail("write");
    data += n, size -= n;
  }
}

static void stream(int port, double seconds) {
  size_t size = 0, room = 1 << 24;
  char *pattern = malloc(room), answer[256];
  for (ssize_t n; (n = read(0, pattern + size, room - size)) > 0;) size += n;
  int fd = dial(port);
  double begun = now();
  long patterns = 0;
  for (; patterns == 0 || now() - begun < seconds; patterns++) send_all(fd, pattern, size);
  shutdown(fd, SHUT_WR);
  size_t got = 0;
  for (ssize_t n; got < sizeof answer - 1 && (n = read(fd, answer + got, sizeof answer - 1 - got)) > 0;) got += n;
  answer[got] = 0;
  printf("%.6f %ld %s\n", now() - begun, patterns, answer);
}

static void echo(int port, double seconds, int conns, int flight) {
  char batch[LENGTH * MOST_FLIGHT], buffer[65536];
  for (int i = 0; i < MOST_FLIGHT; i++) memcpy(batch + i * LENGTH, LINE, LENGTH);
  int poll = epoll_create1(0);
  long *got = calloc(conns, sizeof *got); // bytes of an answer that is not complete
  int *fds = calloc(conns, sizeof *fds);
  for (int i = 0; i < conns; i++) {
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
    epoll_ctl(poll, EPOLL_CTL_ADD, fds[i] = dial(port), &event);
  }
  for (int i = 0; i < conns; i++) send_all(fds[i], batch, flight * LENGTH);
  double begun = now();
  long lines = 0;
  while (now() - begun < seconds) {
    struct epoll_event events[64];
    int count = epoll_wait(poll, events, 64, 1000);
    for (int e = 0; e < count; e++) {
      int i = events[e].data.u32;
      ssize_t n = read(fds[i], buffer, sizeof buffer);
      if (n <= 0) fail("read");
      long come = (got[i] + n) / LENGTH;
      got[i] = (got[i] + n) % LENGTH;
      lines += come;
      if (come > 0) send_all(fds[i], batch, come * LENGTH);
    }
  }
  printf("%ld %.6f\n", lines, now() - begun);
}

static void idle(int port, int conns) {
  char answer[LENGTH];
  int *fds = calloc(conns, sizeof *fds);
  double begun = now();
  for (int from = 0; from < conns; from += AT_A_TIME) {
    int to = from + AT_A_TIME < conns ? from + AT_A_TIME : conns;
    for (int i = from; i < to; i++) send_all(fds[i] = dial(port), LINE, LENGTH);
    for (int i = from; i < to; i++)
      for (size_t got = 0; got < LENGTH;) {
        ssize_t n = read(fds[i], answer + got, LENGTH - got);
        if (n <= 0) fail("read");
        got += n;
      }
  }
  printf("%.6f\n", now() - begun);
  fflush(stdout);
  while (read(0, answer, sizeof answer) > 0);
}

int main(int count, char **args) {
  if (count == 4 && !strcmp(args[1], "stream")) stream(atoi(args[2]), atof(args[3]));
  else if (count == 6 && !strcmp(args[1], "echo")) echo(atoi(args[2]), atof(args[3]), atoi(args[4]), atoi(args[5]));
  else if (count == 4 && !strcmp(args[1], "idle")) idle(atoi(args[2]), atoi(args[3]));
  else return fprintf(stderr, "see the head of load.c\n"), 2;
  return 0;
}
