/** The greeter on `Deno.serve`: `serve_peer.ts http`. */

const headers = { "Content-Type": "text/html; charset=utf-8" };

Deno.serve(
  { hostname: "127.0.0.1", port: 0, onListen: ({ port }) => console.log(port) },
  (request) => {
    const name = new URL(request.url).pathname.slice(1);
    return new Response(`<html>\r\n<body>\r\nHello ${name}! \r\n</body>\r\n</html>\r\n`, { headers });
  },
);
