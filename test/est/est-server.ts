import { createHash, randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { Registry } from 'prom-client';
import { createEst, renewTls } from '#apps/est';
import { canonicalJson } from '#audit';
import { currentLabel, type AuthorityContext } from '#authority';
import { loadConfig } from '#kernel';
import type { EstLabel } from '#policy';
import { policyDocumentMac } from '#status';
import { appendStatusChanges } from '#store';
import { silent, type TestDatabase } from '../harness/database.js';
import { httpsRequest, type HttpsAnswer } from './https-request.js';
import { selfSigned } from './self-signed.js';

export interface EstServer {
  base: string;
  est: AuthorityContext;
  /** PEM of the server's own certificate and key. */
  tls: { key: string; cert: string };
  call(method: string, path: string, options?: Parameters<typeof httpsRequest>[2]): Promise<HttpsAnswer>;
  /** Another certificate of its own, as when it is renewed. */
  renew(credentials: { key: string; cert: string }): void;
  close(): Promise<void>;
}

/** The EST plane alone, over a database of the spec. */
export async function startEstServer(db: TestDatabase): Promise<EstServer> {
  const est = await db.context('est');
  const tls = await selfSigned();
  const app = await createEst({
    config: loadConfig({}),
    authority: est,
    tls,
    cacerts: async () => (await est.issuers.chain()).map((issuer) => issuer.certificate),
    registry: new Registry(),
    log: silent,
    readiness: () => Promise.resolve([]),
  });
  await app.listen(0, '127.0.0.1');
  const base = `https://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}`;
  return {
    base,
    est,
    tls,
    call: (method, path, options = {}) => httpsRequest(base, path, { method, rejectUnauthorized: false, ...options }),
    renew: (credentials) => renewTls(app, credentials),
    close: () => app.close(),
  };
}

/** Decides a label as two people would, without the two people: what the log announces and a MAC vouches for. */
export async function decideLabel(db: TestDatabase, name: string, change: Partial<EstLabel>): Promise<void> {
  const [api, est] = [await db.context('api'), await db.context('est')];
  const now = currentLabel(api, name);
  const version = (now?.version ?? 0) + 1;
  const like = now ?? currentLabel(api, 'device');
  const document = Buffer.from(canonicalJson({ ...like, ...change, name, version }));
  const row = { kind: 'label' as const, name, version, document, approvalId: randomUUID() };
  await db.tamper(
    'insert into policy_documents (kind, name, version, document, approval_id, mac) values ($1, $2, $3, $4, $5, $6)',
    [row.kind, name, version, document, row.approvalId, policyDocumentMac(db.macKey, row)],
  );
  const reason = createHash('sha256').update(document).digest('hex');
  const at = db.clock.now();
  const seq = await api.database.transaction((tx) =>
    appendStatusChanges(tx, db.macKey, [
      {
        kind: 'label',
        subject: name,
        status: `v${version}`,
        reason,
        at,
        invalidityDate: null,
        endsAt: null,
        issuerId: null,
        shard: null,
        notAfter: null,
      },
    ]),
  );
  await Promise.all([api.follower.catchUp(seq), est.follower.catchUp(seq)]);
}
