import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { DigestNonces } from '#authority';
import { readCertificate, readCertsOnly } from '#pki';
import { plainCsr, openEst, type EstPlane } from '../est/access/plane.js';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey } from '../harness/device.js';
import { makeDevice, makeProduct, type Product, type TestDevice } from '../harness/fixtures.js';
import { makeLabel } from '../harness/manufacturer.js';
import { describeWith, run } from './program.js';

describeWith(['curl'], 'HTTP Digest of curl', () => {
  let db: TestDatabase;
  let plane: EstPlane;
  let product: Product;
  let label: string;
  let directory: string;

  beforeAll(async () => {
    db = await startTestDatabase();
    plane = await openEst(db);
    product = await makeProduct(await db.context('api'), db.operator);
    label = await makeLabel(db, { digest: true });
    directory = await mkdtemp(path.join(tmpdir(), 'touchmark-curl-'));
  });
  afterAll(async () => {
    await plane?.close();
    await db?.stop();
    if (directory) await rm(directory, { recursive: true });
  });

  /** Secret and request in files, as they should be; what curl sent and got is in the trace. */
  async function curl(made: TestDevice, args: readonly string[]) {
    const [user, body] = [path.join(directory, 'user'), path.join(directory, 'request')];
    await writeFile(user, `user = "${made.device.id}:${made.secret}"\n`);
    await writeFile(body, plainCsr(newKey()).toString('base64'));
    const url = `${plane.base}/.well-known/est/${label}/simpleenroll`;
    const sent = ['-H', 'Content-Type: application/pkcs10', '--data-binary', `@${body}`, url];
    const ended = await run('curl', ['-sS', '-v', '-k', '-K', user, ...args, ...sent]);
    const offered = [...ended.stderr.matchAll(/^< HTTP\/1\.1 (\d+)/gm)].map(([, status]) => Number(status));
    const answers = [...ended.stderr.matchAll(/^> Authorization: (\w+) /gm)].map(([, scheme]) => scheme);
    return { ...ended, statuses: offered, answers };
  }

  const certificateOf = ({ stdout }: { stdout: Buffer }) =>
    readCertificate(readCertsOnly(Buffer.from(stdout.toString(), 'base64'))[0]!);

  test.each([['--digest'], ['--anyauth']])(
    '%s: one challenge, one answer with SHA-256, the certificate',
    async (option) => {
      const made = await makeDevice(db, product);
      const ended = await curl(made, [option]);
      expect([ended.statuses, ended.answers]).toEqual([[401, 200], ['Digest']]);
      expect(ended.stderr).toMatch(/^> Authorization: Digest .*algorithm=SHA-256/m);
      expect(certificateOf(ended).san).toEqual([{ type: 'uri', value: `urn:uuid:${made.device.instanceId}` }]);
    },
  );

  test('--basic is taken as ever', async () => {
    const ended = await curl(await makeDevice(db, product), ['--basic']);
    expect([ended.statuses, ended.answers]).toEqual([[200], ['Basic']]);
  });

  test('a nonce that is old by the time it is answered: stale, and curl answers the new one by itself', async () => {
    const made = await makeDevice(db, product);
    let challenges = 0;
    // An hour passes after the first challenge.
    const now = () => new Date(db.clock.now().getTime() + (challenges++ > 0 ? 3_600_000 : 0));
    const { digestNonces } = plane.est;
    plane.est.digestNonces = new DigestNonces({ now, monotonicMs: () => db.clock.monotonicMs() }, db.macKey);
    try {
      const ended = await curl(made, ['--digest']);
      expect([ended.statuses, ended.answers]).toEqual([
        [401, 401, 200],
        ['Digest', 'Digest'],
      ]);
      expect(ended.stderr.match(/^< WWW-Authenticate: Digest .*stale=true/gim)).toHaveLength(1);
      certificateOf(ended);
    } finally {
      plane.est.digestNonces = digestNonces;
    }
  });

  test('a wrong secret: curl is told once, and does not try for ever', async () => {
    const made = await makeDevice(db, product);
    const ended = await curl({ ...made, secret: `${made.secret}x` }, ['--digest']);
    expect(ended.statuses).toEqual([401, 401]);
    expect(ended.stdout.toString()).toMatch(/wrong, expired or used/);
  });
});
