import type { Server } from 'node:https';
import type { FastifyInstance } from 'fastify';

const GRACE_MS = 3000;

/**
 * On close, requests in flight have so long to finish; then every connection is ended. Without it a client that connected
 * and never sent a request would hold up the stop for good: Node's own timeouts end with the listening.
 */
export function drainOnClose(instance: FastifyInstance): void {
  const server = instance.server as unknown as Server;
  instance.addHook('preClose', (done) => {
    const timer = setTimeout(() => server.closeAllConnections(), GRACE_MS);
    server.once('close', () => clearTimeout(timer));
    done();
  });
}
