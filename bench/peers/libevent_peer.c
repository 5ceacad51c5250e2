// libevent's evbuffer_readln: sink, and the terminator, crlf or lf.
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct count {
  long frames, bytes;
};
static enum evbuffer_eol_style style;

static void on_read(struct bufferevent *conn, void *arg) {
  struct count *count = arg;
  size_t length;
  for (char *line; (line = evbuffer_readln(bufferevent_get_input(conn), &length, style)); free(line)) {
    count->frames++;
    count->bytes += length;
  }
}

static void on_written(struct bufferevent *conn, void *arg) {
  free(arg);
  bufferevent_free(conn);
}

static void on_event(struct bufferevent *conn, short what, void *arg) {
  struct count *count = arg;
  if (!(what & BEV_EVENT_EOF)) return on_written(conn, arg);
  bufferevent_setcb(conn, NULL, on_written, on_event, arg);
  evbuffer_add_printf(bufferevent_get_output(conn), "%ld %ld", count->frames, count->bytes);
}

static void on_accept(struct evconnlistener *listener, int fd, struct sockaddr *from, int size, void *arg) {
  (void)from, (void)size, (void)arg;
  struct bufferevent *conn = bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);
  bufferevent_set_max_single_read(conn, 65536);
  bufferevent_setcb(conn, on_read, NULL, on_event, calloc(1, sizeof(struct count)));
  bufferevent_enable(conn, EV_READ | EV_WRITE);
}

int main(int count, char **args) {
  style = count > 2 && !strcmp(args[2], "lf") ? EVBUFFER_EOL_LF : EVBUFFER_EOL_CRLF_STRICT;
  struct event_base *base = event_base_new();
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct evconnlistener *listener = evconnlistener_new_bind(
      base, on_accept, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, 1024, (void *)&at, sizeof at);
  socklen_t size = sizeof at;
  getsockname(evconnlistener_get_fd(listener), (void *)&at, &size);
  printf("%d\n", ntohs(at.sin_port));
  fflush(stdout);
  return event_base_dispatch(base);
}
