import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { systemClock } from '#kernel';

/**
 * How long, in milliseconds, a server keeps clients that never close their side: one that says nothing, one that says half
 * a ClientHello, and one whose unreadable request was answered.
 */
export async function silentClients(server: Server): Promise<{ handshakes: number[]; answered: number }> {
  const hello = await clientHello();
  const nothing = await open(server);
  const half = await open(server);
  half.client.write(hello.subarray(0, hello.length / 2));
  const answered = await open(server);
  const tls = connectTls({ socket: answered.client, rejectUnauthorized: false });
  tls.on('error', () => undefined);
  await once(tls, 'secureConnect');
  tls.write('GARBAGE\r\n\r\n');
  const times = await Promise.all([nothing.heldFor, half.heldFor, answered.heldFor]);
  for (const { client } of [nothing, half, answered]) client.destroy();
  return { handshakes: times.slice(0, 2), answered: times[2] };
}

/** A client that stays half open; the time is taken where the server holds its connection. */
async function open(server: Server): Promise<{ client: Socket; heldFor: Promise<number> }> {
  const { port } = server.address() as AddressInfo;
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  client.on('error', () => undefined);
  const startedAt = systemClock.monotonicMs();
  const [connection] = await accepted;
  const heldFor = once(connection, 'close').then(() => systemClock.monotonicMs() - startedAt);
  return { client, heldFor };
}

async function clientHello(): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const client = connectTls({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' });
  client.on('error', () => undefined);
  const [socket] = await accepted;
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}
