import { createPrivateKey, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { der, fromPem, readCertificate, readCertsOnly, signBytes, toPem } from '#pki';
import { buildProgram } from '../../apps/touchmark/src/program.js';
import { enrollDevice, openLaboratory, type Laboratory } from './enrolled.js';
import { describeWith, run, succeed } from './program.js';

interface Shown {
  pem: string;
  links: { form: string; issuerId: string | null; pem: string }[];
}

/** Another CA, made by openssl, vouches for ours: whoever trusts it alone gets to our devices. */
describeWith(['openssl'], 'a certificate of a foreign CA for one of ours', () => {
  let laboratory: Laboratory;
  let args: string[];
  let chain: string[];

  beforeAll(async () => {
    laboratory = await openLaboratory({ TOUCHMARK_SINGLE_OPERATOR: 'true' });
    const { instance, file, write } = laboratory;
    const token = await readFile(path.join(instance.home, 'operator.token'), 'utf8');
    args = ['--url', instance.urls.api, '--ca', laboratory.root, '--token-file', await write('token', token), '--json'];
    await foreignRoot('foreign', 'Foreign Root');
    await foreignRoot('other', 'Other Root');
    await write('issuing.pub', await succeed('openssl', ['x509', '-in', laboratory.issuing, '-noout', '-pubkey']));
    await write('root.pub', await succeed('openssl', ['x509', '-in', laboratory.root, '-noout', '-pubkey']));
    chain = ['--chain', file('foreign.pem'), '--crl', file('foreign.crl')];
  });
  afterAll(() => laboratory?.close());

  async function foreignRoot(name: string, commonName: string): Promise<void> {
    const { file, write } = laboratory;
    await succeed('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-nodes', '-sha384', '-days', '7300'],
      ...['-subj', `/O=Foreign/CN=${commonName}`, '-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
      ...['-keyout', file(`${name}.key`), '-out', file(`${name}.pem`)],
    ]);
    await write(`${name}.db`, '');
    await write(`${name}.number`, '01\n');
    const settings = `[ca]\ndefault_ca=c\n[c]\ndatabase=${file(`${name}.db`)}\ncrlnumber=${file(`${name}.number`)}\ndefault_md=sha384\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n`;
    await succeed('openssl', [
      ...['ca', '-gencrl', '-config', await write(`${name}.cnf`, settings), '-cert', file(`${name}.pem`)],
      ...['-keyfile', file(`${name}.key`), '-crldays', '30', '-out', file(`${name}.crl`)],
    ]);
  }

  interface Wishes {
    key?: string;
    subject?: string;
    ca?: string;
    signer?: string;
  }
  /** Signed by the foreign root, for the key of our issuing CA where nothing else is wished. */
  async function linked(name: string, wishes: Wishes = {}): Promise<string> {
    const { file, write } = laboratory;
    const {
      key = 'issuing.pub',
      subject = await subjectOf(laboratory.issuing),
      ca = 'CA:TRUE,pathlen:0',
      signer = 'foreign',
    } = wishes;
    const usage = ca.startsWith('CA:TRUE') ? 'keyCertSign,cRLSign,digitalSignature' : 'digitalSignature';
    const extensions = `basicConstraints=critical,${ca}\nkeyUsage=critical,${usage}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n`;
    await succeed('openssl', [
      ...['x509', '-new', '-force_pubkey', file(key), '-subj', subject, '-days', '365', '-sha384'],
      ...[
        '-CA',
        file(`${signer}.pem`),
        '-CAkey',
        file(`${signer}.key`),
        '-set_serial',
        `0x01${randomBytes(15).toString('hex')}`,
      ],
      ...['-extfile', await write(`${name}.ext`, extensions), '-out', file(name)],
    ]);
    return file(name);
  }
  const subjectOf = async (certificate: string): Promise<string> => {
    const text = await succeed('openssl', ['x509', '-in', certificate, '-noout', '-subject', '-nameopt', 'compat']);
    return text.trim().replace(/^subject=\s*/, '');
  };
  /** The same certificate with another time in it, signed anew: openssl 3.0 makes none that has ended. */
  async function ended(): Promise<string> {
    const { write } = laboratory;
    const [good] = fromPem(await readFile(await linked('ending.pem'), 'utf8'));
    const { tbs, notAfter, signatureAlgorithmDer } = readCertificate(good!);
    const utc = (time: Date) =>
      Buffer.from(
        `${time
          .toISOString()
          .replaceAll(/[-:T]|\.\d+/g, '')
          .slice(2)}`,
      );
    const bytes = Buffer.from(tbs);
    utc(new Date(Date.now() - 60_000)).copy(bytes, bytes.indexOf(utc(notAfter)));
    const { notBefore } = readCertificate(good!);
    utc(new Date(Date.now() - 86_400_000)).copy(bytes, bytes.indexOf(utc(notBefore)));
    const key = createPrivateKey(await readFile(laboratory.file('foreign.key')));
    const signed = der.sequence(bytes, signatureAlgorithmDer, der.bitString(signBytes('ec-p384', key, bytes)));
    return write('ended.pem', toPem('CERTIFICATE', signed));
  }

  async function cli(...words: string[]): Promise<Record<string, string>> {
    let printed = '';
    const write = jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
      printed += String(text);
      return true;
    });
    try {
      await buildProgram().parseAsync(['node', 'touchmark', ...words, ...args]);
    } finally {
      write.mockRestore();
    }
    return JSON.parse(printed) as Record<string, string>;
  }
  async function approved({ approvalId, digest }: Record<string, string>): Promise<void> {
    const reply = await laboratory.instance.api('POST', `/v1/approvals/${approvalId}/approve`, { digest });
    expect([reply.status, reply.text]).toEqual([200, expect.any(String)]);
  }
  const verify = (anchor: string, untrusted: string[], certificate: string) =>
    run('openssl', [
      ...['verify', '-x509_strict', '-no-CApath', '-no-CAstore', '-CAfile', anchor],
      ...untrusted.flatMap((one) => ['-untrusted', one]),
      certificate,
    ]);

  test.each<[string, () => Promise<string>, RegExp]>([
    ['for another key', () => linked('key.pem', { key: 'root.pub' }), /for another key/],
    ['of another name', () => linked('name.pem', { subject: '/O=Touchmark/CN=Somebody' }), /another subject/],
    ['that has ended', ended, /expired/],
    ['of no CA', () => linked('leaf.pem', { ca: 'CA:FALSE' }), /not that of a CA/],
    ['of another path length', () => linked('long.pem', { ca: 'CA:TRUE,pathlen:1' }), /path length/],
    ['of no path length', () => linked('open.pem', { ca: 'CA:TRUE' }), /path length/],
    ['signed by another', () => linked('other-signed.pem', { signer: 'other' }), /certificate/],
  ])('is refused: one %s', async (_, make, text) => {
    const certificate = await make();
    const { instance, issuingId, file } = laboratory;
    await expect(cli('ca', 'import', issuingId, '--certificate', certificate, ...chain)).rejects.toThrow(text);
    const body = {
      certificate: await readFile(certificate, 'utf8'),
      chain: await readFile(file('foreign.pem'), 'utf8'),
      crls: await readFile(file('foreign.crl'), 'utf8'),
    };
    const reply = await instance.api('POST', `/v1/issuers/${issuingId}/import`, body);
    expect([reply.status, reply.json<{ member: string }>().member]).toEqual([422, 'certificate']);
    expect((await instance.api('GET', `/v1/issuers/${issuingId}`)).json<Shown>().links).toEqual([]);
  });

  test('is taken by two people; who trusts the foreign root alone verifies our devices by it', async () => {
    const { instance, issuingId, rootId, file, write } = laboratory;
    const device = await enrollDevice(laboratory);
    const certificate = await linked('cross.pem');
    expect((await verify(file('foreign.pem'), [laboratory.issuing], device.certificateFile)).status).not.toBe(0);
    await approved(await cli('ca', 'import', issuingId, '--certificate', certificate, ...chain));
    const { links } = (await instance.api('GET', `/v1/issuers/${issuingId}`)).json<Shown>();
    expect(links).toMatchObject([{ form: 'cross', issuerId: null }]);
    const link = await write('link.pem', links[0]!.pem);
    expect(await verify(file('foreign.pem'), [link], device.certificateFile)).toMatchObject({ status: 0 });
    await expect(verify(file('other.pem'), [link], device.certificateFile)).resolves.not.toMatchObject({ status: 0 });

    // By the API, for the root: whatever it certified follows.
    const wish = { key: 'root.pub', subject: await subjectOf(laboratory.root), ca: 'CA:TRUE,pathlen:1' };
    const body = {
      certificate: await readFile(await linked('cross-root.pem', wish), 'utf8'),
      chain: await readFile(file('foreign.pem'), 'utf8'),
      crls: await readFile(file('foreign.crl'), 'utf8'),
    };
    const narrow = await linked('narrow.pem', { ...wish, ca: 'CA:TRUE,pathlen:0' });
    const cut = await instance.api('POST', `/v1/issuers/${rootId}/import`, {
      ...body,
      certificate: await readFile(narrow, 'utf8'),
    });
    expect([cut.status, cut.json<{ detail: string }>().detail]).toEqual([422, expect.stringContaining('at least 1')]);
    const proposed = await instance.api('POST', `/v1/issuers/${rootId}/import`, body);
    expect(proposed.status).toBe(202);
    await approved(proposed.json());
    const bag = readCertsOnly(Buffer.from((await instance.est('/.well-known/est/cacerts')).text, 'base64'));
    expect(bag.map((one) => toPem('CERTIFICATE', one))).toEqual(
      expect.arrayContaining([links[0]!.pem, body.certificate]),
    );
    const upward = [laboratory.issuing, file('cross-root.pem')];
    expect(await verify(file('foreign.pem'), upward, device.certificateFile)).toMatchObject({ status: 0 });
  }, 60_000);
});
