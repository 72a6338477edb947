import type { FastifyInstance } from 'fastify';
import { AuthorityError } from '#kernel';
import { MAX_BODY_BYTES } from './framework-error.js';
import { checkJsonShape } from './json-shape.js';

const MIB = 1024 * 1024;
/** The CRL of an offline root or of a manufacturer, in octets of DER. */
export const MAX_CRL_BYTES = 8 * MIB;
/** The same as PEM: four characters for three octets, and a line end after 64. */
export const MAX_CRL_TEXT = Math.ceil((MAX_CRL_BYTES / 3) * 4 * (66 / 64)) + 100;
/** Such a CRL as a member of a JSON body, where a line end has four characters at most. */
export const CRL_BODY_BYTES = 12 * MIB;
/** Many certificates at once, or a chain with its CRLs: what a proposal or an import holds. */
export const BUNDLE_BODY_BYTES = MIB;

/**
 * JSON only, and only as it is: no compression, no prototype keys. What else may be sent, and more than `MAX_BODY_BYTES`, its
 * route says; who may not call it is refused before a body is read.
 */
export function acceptJson(instance: FastifyInstance): void {
  instance.removeAllContentTypeParsers();
  const parse = instance.getDefaultJsonParser('error', 'error');
  instance.addContentTypeParser<string>(
    'application/json',
    { parseAs: 'string', bodyLimit: MAX_BODY_BYTES },
    (request, body, done) => {
      try {
        checkJsonShape(body);
      } catch (error) {
        done(error as Error);
        return;
      }
      void parse(request, body, done);
    },
  );
  instance.addHook('onRoute', (route) => {
    const { bodyBytes } = route.config ?? {};
    if (bodyBytes !== undefined) route.bodyLimit = bodyBytes;
  });
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
