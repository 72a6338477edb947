import { createSocket } from 'node:dgram';
import { once } from 'node:events';

/** A name server on 127.0.0.1 with TXT records, and nothing else. */
export interface DnsServer {
  /** `address:port`. */
  address: string;
  /** Texts by name; what is not here does not exist. */
  records: Map<string, string[]>;
  /** Answers SERVFAIL to everything while it is set. */
  failing: boolean;
  stop(): Promise<void>;
}

const NAME_ERROR = 3;
const SERVER_FAILURE = 2;

export async function startDnsServer(): Promise<DnsServer> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const server: DnsServer = {
    address: `127.0.0.1:${socket.address().port}`,
    records: new Map(),
    failing: false,
    stop: async () => {
      socket.close();
      await once(socket, 'close');
    },
  };
  socket.on('message', (query, from) => socket.send(answer(server, query), from.port, from.address));
  return server;
}

function answer({ records, failing }: DnsServer, query: Buffer): Buffer {
  const { name, end } = questionOf(query);
  const texts = failing ? [] : (records.get(name) ?? []);
  const code = failing ? SERVER_FAILURE : texts.length === 0 ? NAME_ERROR : 0;
  const head = Buffer.alloc(12);
  query.copy(head, 0, 0, 2);
  head.writeUInt16BE(0x8180 | code, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(texts.length, 6);
  return Buffer.concat([head, query.subarray(12, end), ...texts.map(record)]);
}

/** The name asked for, in lower case, and where the question ends. */
function questionOf(query: Buffer): { name: string; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length).toLowerCase());
    at += 1 + length;
  }
  return { name: labels.join('.'), end: at + 5 };
}

/** TXT, class IN, for a minute; in parts of 20 octets, as a long one would come. */
function record(text: string): Buffer {
  const parts = text.match(/.{1,20}/gs) ?? [''];
  const data = Buffer.concat(parts.map((part) => Buffer.from([part.length, ...Buffer.from(part, 'latin1')])));
  const head = Buffer.from([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0, 0]);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}
