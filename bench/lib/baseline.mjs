// What bare Node does with the same bytes: the yardstick of each bench, in a process of its own.
import http from 'node:http';
import https from 'node:https';
import tls from 'node:tls';

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const input = JSON.parse(Buffer.concat(chunks).toString() || '{}');
const kind = process.argv[2];

const echo = (type) => (request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const body = Buffer.concat(parts);
    response.writeHead(200, { 'content-type': type, 'content-length': body.length });
    response.end(body);
  });
};

const SERVERS = {
  /** Always the same bytes. */
  bytes: () => {
    const body = Buffer.from(input.body, 'base64');
    return http.createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/ocsp-response', 'content-length': body.length });
      response.end(body);
    });
  },
  echo: () => http.createServer(echo('application/ocsp-response')),
  jsonEcho: () => {
    const handler = (request, response) => {
      const parts = [];
      request.on('data', (part) => parts.push(part));
      request.on('end', () => {
        const text = JSON.stringify({ received: Buffer.concat(parts).toString() });
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
        response.end(text);
      });
    };
    return https.createServer({ key: input.key, cert: input.cert }, handler);
  },
  /** Bare handshakes with client certificate: one byte to say so, then the end. */
  handshake: () =>
    tls.createServer(
      { key: input.key, cert: input.cert, ca: input.ca, requestCert: true, rejectUnauthorized: false },
      (socket) => {
        socket.on('error', () => {});
        socket.end('.');
      },
    ),
};

const server = SERVERS[kind]();
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
