import {
  createServer as createHttpServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

export interface Received {
  url: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

export interface Receiver {
  url: string;
  port: number;
  received: Received[];
  /** What the next requests are answered with: a status, or by hand. */
  answer: number | ((request: IncomingMessage, response: ServerResponse) => void);
  /** Requests whose answer is not finished. */
  open: number;
  mostOpen: number;
  /** Resolves when so many have been received. */
  until(count: number): Promise<void>;
  stop(): Promise<void>;
}

/** A server on 127.0.0.1 that keeps what it is sent; with key and certificate by TLS. */
export async function startReceiver(tls?: { key: string; cert: string }): Promise<Receiver> {
  const sockets = new Set<Socket>();
  const waiting: { count: number; resolve: () => void }[] = [];
  const receiver: Receiver = {
    url: '',
    port: 0,
    received: [],
    answer: 204,
    open: 0,
    mostOpen: 0,
    until: (count) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      if (receiver.received.length >= count) resolve();
      else waiting.push({ count, resolve });
      return promise;
    },
    stop: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    receiver.open++;
    receiver.mostOpen = Math.max(receiver.mostOpen, receiver.open);
    response.on('close', () => receiver.open--);
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      receiver.received.push({ url: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks) });
      if (typeof receiver.answer === 'number') response.writeHead(receiver.answer).end();
      else receiver.answer(request, response);
      for (const one of waiting) if (receiver.received.length >= one.count) one.resolve();
    });
  };
  const server = tls === undefined ? createHttpServer(handle) : createHttpsServer(tls, handle);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  receiver.port = (server.address() as AddressInfo).port;
  receiver.url = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${receiver.port}`;
  return receiver;
}

/** The `webhook-` headers of a request, as a verifier takes them. */
export function webhookHeaders({ headers }: Received): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter((entry): entry is [string, string] => entry[0].startsWith('webhook-')),
  );
}
