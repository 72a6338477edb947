import net from 'node:net';
import tls from 'node:tls';

/**
 * Raw HTTP/1.1 over kept connections, one request in flight on each: cheap enough to leave the other core to the server.
 * `next(i)` gives the bytes of request i. Every answer must have `expect` as status.
 * @returns {Promise<{perSecond: number, count: number, p50: number, p99: number, seconds: number}>} latencies in ms
 */
export async function load({ port, host = '127.0.0.1', secure, connections, seconds, next, expect = 200 }) {
  const latencies = [];
  let counter = 0;
  const began = performance.now();
  const until = began + seconds * 1000;
  const one = () =>
    new Promise((resolve, reject) => {
      const socket = secure ? tls.connect({ host, port, ...secure }) : net.connect({ host, port, noDelay: true });
      let pending = Buffer.alloc(0);
      let sentAt = 0;
      const send = () => {
        if (performance.now() >= until) {
          socket.destroy();
          resolve();
          return;
        }
        sentAt = performance.now();
        socket.write(next(counter++));
      };
      socket.on('data', (data) => {
        pending = pending.length === 0 ? data : Buffer.concat([pending, data]);
        const reply = takeReply(pending);
        if (reply === undefined) return;
        pending = pending.subarray(reply.end);
        if (reply.status !== expect) {
          socket.destroy();
          reject(new Error(`expected ${expect}, got ${reply.status}: ${reply.text()}`));
          return;
        }
        latencies.push(performance.now() - sentAt);
        send();
      });
      socket.on('error', reject);
      socket.once(secure ? 'secureConnect' : 'connect', send);
    });
  await Promise.all(Array.from({ length: connections }, one));
  return summary(latencies, (performance.now() - began) / 1000);
}

/** One request over a connection of its own, to its end; without a request, the handshake alone. */
export function once(port, secure, request) {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: '127.0.0.1', port, ...secure });
    let reply = Buffer.alloc(0);
    socket.on('error', reject);
    socket.once('secureConnect', () => request && socket.write(request));
    socket.on('data', (data) => {
      reply = Buffer.concat([reply, data]);
      if (request === undefined) {
        socket.destroy();
        resolve(reply);
        return;
      }
      const head = reply.indexOf('\r\n\r\n');
      const length = Number(/content-length: (\d+)/i.exec(reply.latin1Slice(0, Math.max(head, 0)))?.[1] ?? NaN);
      if (head < 0 || reply.length < head + 4 + length) return;
      socket.destroy();
      if (reply.latin1Slice(9, 12) !== '200') reject(new Error(reply.toString()));
      else resolve(reply.subarray(head + 4));
    });
  });
}

/** The first reply in the bytes so far; undefined while it is not whole. */
export function takeReply(buffer) {
  const headEnd = buffer.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const head = buffer.latin1Slice(0, headEnd);
  const length = /\r\ncontent-length: *(\d+)/i.exec(head);
  const end = headEnd + 4 + Number(length?.[1] ?? 0);
  if (buffer.length < end) return undefined;
  return {
    status: Number(head.slice(9, 12)),
    end,
    body: () => buffer.subarray(headEnd + 4, end),
    text: () => buffer.toString('utf8', 0, end),
  };
}

/** Rate, median and 99th percentile of latencies in ms. */
export function summary(latencies, seconds) {
  const sorted = [...latencies].sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { perSecond: sorted.length / seconds, count: sorted.length, p50: at(0.5), p99: at(0.99), seconds };
}

/** Runs `work(i)` for i below `count` with `width` at a time; latencies in ms. */
export async function each(count, width, work) {
  const latencies = [];
  let index = 0;
  const began = performance.now();
  const lane = async () => {
    while (index < count) {
      const i = index++;
      const at = performance.now();
      await work(i);
      latencies.push(performance.now() - at);
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
  return summary(latencies, (performance.now() - began) / 1000);
}

export const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
};
