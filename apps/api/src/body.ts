import type { FastifyInstance } from 'fastify';
import { AuthorityError } from '#kernel';
import { MAX_BODY_BYTES } from './framework-error.js';

/** JSON only, and only as it is: no compression, no prototype keys. What else may be sent, its route says. */
export function acceptJson(instance: FastifyInstance): void {
  instance.removeAllContentTypeParsers();
  const parse = instance.getDefaultJsonParser('error', 'error');
  instance.addContentTypeParser('application/json', { parseAs: 'string', bodyLimit: MAX_BODY_BYTES }, parse);
  instance.addHook('onRequest', (request, _reply, done) => {
    const coding = request.headers['content-encoding'];
    if (coding === undefined || coding.trim().toLowerCase() === 'identity') {
      done();
      return;
    }
    done(
      new AuthorityError('unsupportedType', 'Content-Encoding is not supported; send the body uncompressed', {
        code: 'contentEncoding',
      }),
    );
  });
}
