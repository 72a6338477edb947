import type { FastifyInstance, HTTPMethods } from 'fastify';
import { AuthorityError } from '#kernel';

/**
 * Fastify answers 404 to a method that a path does not have; RFC 9110 section 15.5.6 wants 405 with `Allow`. Call
 * `collectMethods` before any route is registered, and what it returns after the last one, before listening.
 */
export function collectMethods(instance: FastifyInstance): () => void {
  const byPath = new Map<string, Set<string>>();
  instance.addHook('onRoute', (route) => {
    const methods = byPath.get(route.url) ?? new Set<string>();
    for (const method of [route.method].flat()) methods.add(method);
    byPath.set(route.url, methods);
  });
  return () => {
    // As a plugin, so that it comes after those that register routes of their own.
    void instance.register((last, _options, done) => {
      addOtherMethods(last, byPath);
      done();
    });
  };
}

function addOtherMethods(instance: FastifyInstance, byPath: ReadonlyMap<string, ReadonlySet<string>>): void {
  for (const [url, methods] of [...byPath]) {
    const allow = [...methods].sort().join(', ');
    const missing = instance.supportedMethods.filter((method) => !methods.has(method)) as HTTPMethods[];
    instance.route({
      method: missing,
      url,
      exposeHeadRoute: false,
      config: { access: 'public', refusesMethods: true },
      onRequest: (_request, reply) => {
        void reply.header('allow', allow);
        return Promise.reject(new AuthorityError('methodNotAllowed', `this path allows ${allow}`));
      },
      handler: () => undefined,
    });
  }
}
