import tls from 'node:tls';
import { setTimeout as delay } from 'node:timers/promises';
import { summary, takeReply } from './load.mjs';

/**
 * Begins `work(i)` at a fixed rate, whether those before have ended or not. Latencies in ms from the moment at which each
 * was to begin: what has to wait, because the server or this client is late, waits in the figure too.
 */
export async function paced(perSecond, count, work) {
  const latencies = [];
  const running = [];
  const began = performance.now();
  for (let i = 0; i < count; i++) {
    const due = began + (i * 1000) / perSecond;
    // A timer is never early, and late by up to a millisecond: the next one is due from the beginning, not from here.
    if (performance.now() < due) await delay(due - performance.now());
    running.push(work(i).then(() => latencies.push(performance.now() - due)));
  }
  await Promise.all(running);
  return summary(latencies, (performance.now() - began) / 1000);
}

/** Kept connections that take turns: `send` waits until one is free. `secures`: TLS options, one connection for each. */
export async function keptConnections(port, secures) {
  const free = await Promise.all(secures.map((secure, lane) => open(port, secure, lane)));
  const waiting = [];
  const giveBack = (connection) => {
    const next = waiting.shift();
    if (next === undefined) free.push(connection);
    else next(connection);
  };
  return {
    /** `requestOf(lane)`: the bytes to send by that connection. Anything but 200 is an error. */
    async send(requestOf) {
      const connection = free.shift() ?? (await new Promise((resolve) => waiting.push(resolve)));
      await connection.send(requestOf(connection.lane));
      giveBack(connection);
    },
    close: () => free.forEach((connection) => connection.close()),
  };
}

async function open(port, secure, lane) {
  const socket = tls.connect({ host: '127.0.0.1', port, ...secure });
  let pending = Buffer.alloc(0);
  let answered;
  let failed;
  socket.on('error', (error) => failed?.(error));
  socket.on('data', (data) => {
    pending = Buffer.concat([pending, data]);
    const reply = takeReply(pending);
    if (reply === undefined) return;
    pending = pending.subarray(reply.end);
    if (reply.status === 200) answered();
    else failed(new Error(`got ${reply.status}: ${reply.text()}`));
  });
  await new Promise((resolve, reject) => {
    failed = reject;
    socket.once('secureConnect', resolve);
  });
  return {
    lane,
    send: (request) =>
      new Promise((resolve, reject) => {
        answered = resolve;
        failed = reject;
        socket.write(request);
      }),
    close: () => socket.destroy(),
  };
}
