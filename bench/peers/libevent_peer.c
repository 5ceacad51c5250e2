/* libevent: `libevent_peer <mode> ...`, see ../peers.ts for the modes. */

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
  long frames, bytes;
} Count;

static enum evbuffer_eol_style style;

static void take_lines(struct evbuffer *input, Count *count) {
  size_t length;
  for (char *line; (line = evbuffer_readln(input, &length, style)); free(line)) count->frames++, count->bytes += length;
}

static void lines(struct bufferevent *conn, void *count) { take_lines(bufferevent_get_input(conn), count); }

static void prefixed(struct bufferevent *conn, void *context) {
  struct evbuffer *input = bufferevent_get_input(conn);
  Count *count = context;
  unsigned head;
  while (evbuffer_copyout(input, &head, 4) == 4) {
    size_t length = ntohl(head);
    if (evbuffer_get_length(input) < 4 + length) break;
    evbuffer_drain(input, 4);
    evbuffer_pullup(input, length); /* makes the body contiguous, as an application needs it */
    evbuffer_drain(input, length);
    count->frames++, count->bytes += length;
  }
}

static void echo(struct bufferevent *conn, void *context) {
  (void)context;
  struct evbuffer *output = bufferevent_get_output(conn);
  size_t length;
  char *line;
  while ((line = evbuffer_readln(bufferevent_get_input(conn), &length, EVBUFFER_EOL_CRLF_STRICT))) {
    evbuffer_add(output, line, length);
    evbuffer_add(output, "\r\n", 2);
    free(line);
  }
}

static bufferevent_data_cb handle;

static void ended(struct bufferevent *conn, short what, void *context) {
  (void)what;
  Count *count = context;
  bufferevent_free(conn);
  if (handle != echo) printf("%ld %ld\n", count->frames, count->bytes), fflush(stdout);
  free(count);
}

static void accepted(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from, int size, void *base) {
  (void)listener, (void)from, (void)size;
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct bufferevent *conn = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
  bufferevent_setcb(conn, handle, NULL, ended, calloc(1, sizeof(Count)));
  bufferevent_set_max_single_read(conn, 65536);
  bufferevent_enable(conn, EV_READ | EV_WRITE);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

/* Counts the lines of the file over and over, without a socket. */
static Count memory(const char *data, size_t size, int times, size_t piece, double seconds, double *passed) {
  struct evbuffer *input = evbuffer_new();
  Count count = {0};
  double start = now();
  do {
    for (int time = 0; time < times; time++) {
      for (size_t at = 0; at < size; at += piece) {
        evbuffer_add(input, data + at, size - at < piece ? size - at : piece);
        take_lines(input, &count);
      }
    }
    evbuffer_add(input, "\r\n" + (style == EVBUFFER_EOL_LF), style == EVBUFFER_EOL_LF ? 1 : 2);
    take_lines(input, &count);
  } while ((*passed = now() - start) < seconds);
  return count;
}

static int in_memory(const char *path, int times, size_t piece, double seconds) {
  FILE *file = fopen(path, "rb");
  fseek(file, 0, SEEK_END);
  size_t size = ftell(file);
  char *data = malloc(size);
  rewind(file);
  if (fread(data, 1, size, file) != size) return 1;
  double passed;
  memory(data, size, times, piece, seconds / 4, &passed);
  Count count = memory(data, size, times, piece, seconds, &passed);
  printf("%ld %ld %f\n", count.frames, count.bytes, passed);
  return 0;
}

int main(int argc, char **argv) {
  const char *mode = argv[1];
  if (argc > 2) style = strcmp(argv[2], "lf") ? EVBUFFER_EOL_CRLF_STRICT : EVBUFFER_EOL_LF;
  if (!strcmp(mode, "version")) return puts(event_get_version()), 0;
  if (!strcmp(mode, "memory")) return in_memory(argv[3], atoi(argv[4]), atol(argv[5]), atof(argv[6]));
  handle = !strcmp(mode, "lines") ? lines : !strcmp(mode, "prefixed") ? prefixed : echo;
  struct event_base *base = event_base_new();
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof at;
  struct evconnlistener *listener = evconnlistener_new_bind(
      base, accepted, base, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, 511, (struct sockaddr *)&at, size);
  getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&at, &size);
  printf("%d\n", ntohs(at.sin_port)), fflush(stdout);
  return event_base_dispatch(base);
}
