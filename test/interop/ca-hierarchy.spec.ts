import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import type { AuthorityError } from '#kernel';
import { readCertsOnly, toPem } from '#pki';
import { buildProgram } from '../../apps/touchmark/src/program.js';
import { crlOf, enrollDevice, openLaboratory, type Laboratory } from './enrolled.js';
import { describeWith, run, succeed } from './program.js';
import { eventually } from './server.js';

interface Shown {
  id: string;
  name: string;
  status: string;
  pem: string;
  crl: string;
  links: { form: string; pem: string }[];
}

const PASSPHRASE = 'a passphrase of the test';

describeWith(['openssl', 'certtool'], 'openssl and certtool and what stands above an issuing CA', () => {
  let laboratory: Laboratory;
  let args: string[];

  beforeAll(async () => {
    laboratory = await openLaboratory({ TOUCHMARK_SINGLE_OPERATOR: 'true' });
    const { instance, write } = laboratory;
    const token = await readFile(path.join(instance.home, 'operator.token'), 'utf8');
    args = ['--url', instance.urls.api, '--ca', laboratory.root, '--token-file', await write('token', token)];
    await write('passphrase', `${PASSPHRASE}\n`);
  });
  afterAll(() => laboratory?.close());

  /** The command line, as an operator types it. */
  const cli = (...words: string[]): Promise<string> => touchmark(...words, '--json', ...args);
  async function touchmark(...words: string[]): Promise<string> {
    let printed = '';
    const write = jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
      printed += String(text);
      return true;
    });
    try {
      await buildProgram().parseAsync(['node', 'touchmark', ...words]);
    } finally {
      write.mockRestore();
    }
    return printed;
  }
  /** Proposed on the command line, approved by the same and only person. */
  async function decided(...words: string[]): Promise<Record<string, string>> {
    const { approvalId, digest } = await eventually(
      async () => {
        try {
          return JSON.parse(await cli(...words)) as { approvalId: string; digest: string };
        } catch (error) {
          // The worker publishes the status of a new CA first.
          if ((error as AuthorityError).code === 'issuerNotPublished') return undefined;
          throw error;
        }
      },
      { within: 30_000, what: words.join(' ') },
    );
    const reply = await laboratory.instance.api('POST', `/v1/approvals/${approvalId}/approve`, { digest });
    if (reply.status !== 200) throw new Error(`approve: ${reply.status} ${reply.text}`);
    return reply.json<{ result: Record<string, string> }>().result;
  }
  const shown = async (id: string): Promise<Shown> =>
    (await laboratory.instance.api('GET', `/v1/issuers/${id}`)).json<Shown>();
  const verify = (anchor: string, untrusted: string, certificate: string, ...more: string[]) =>
    run('openssl', [
      ...['verify', '-x509_strict', '-no-CApath', '-no-CAstore', '-CAfile', anchor],
      ...['-untrusted', untrusted, ...more, certificate],
    ]);
  async function deviceUnder(name: string) {
    return eventually(
      async () => {
        const made = await enrollDevice(laboratory);
        const issuer = await succeed('openssl', ['x509', '-in', made.certificateFile, '-noout', '-issuer']);
        return issuer.includes(name) ? made : undefined;
      },
      { within: 20_000, what: `${name} issues` },
    );
  }

  test('who trusts the old root alone follows to the new one, and the other way round (E32, E34, Q06)', async () => {
    const { write, rootId, root } = laboratory;
    const before = await enrollDevice(laboratory);
    const { issuerId } = await decided('ca', 'rollover', rootId);
    await decided('ca', 'activate', issuerId!);
    const { id } = await decided('ca', 'create', 'Under the new root').then((result) => ({ id: result['issuerId']! }));
    await decided('ca', 'activate', id);
    const [fresh, issuing] = [await shown(issuerId!), await shown(id)];
    const link = (form: string) => fresh.links.find((one) => one.form === form)!.pem;
    const freshRoot = await write('fresh-root.pem', fresh.pem);
    const [newWithOld, oldWithNew] = [link('newWithOld'), link('oldWithNew')];
    const device = await deviceUnder('Under the new root');

    const upward = await write('new-with-old.pem', issuing.pem + newWithOld);
    expect(await verify(root, upward, device.certificateFile)).toMatchObject({ status: 0 });
    expect(await verify(freshRoot, await write('issuing-2.pem', issuing.pem), device.certificateFile)).toMatchObject({
      status: 0,
    });
    // Without it nothing leads there: it is the link that does.
    expect((await verify(root, laboratory.file('issuing-2.pem'), device.certificateFile)).status).not.toBe(0);
    const downward = await write('old-with-new.pem', (await readFile(laboratory.issuing, 'utf8')) + oldWithNew);
    expect(await verify(freshRoot, downward, before.certificateFile)).toMatchObject({ status: 0 });

    const chain = [
      await readFile(device.certificateFile, 'utf8'),
      issuing.pem,
      newWithOld,
      await readFile(root, 'utf8'),
    ];
    expect(await run('certtool', ['--verify-chain'], { input: chain.join('') })).toMatchObject({
      status: 0,
      all: expect.stringMatching(/Chain verification output: Verified\. The certificate is trusted\./),
    });

    // What a device pinned to the old root is told over EST leads on: OpenSSL wants it without other self-signed roots,
    // since it takes the first issuer that fits and never another one.
    const bag = readCertsOnly(Buffer.from((await laboratory.instance.est('/.well-known/est/cacerts')).text, 'base64'));
    const crossed = bag.filter((der) => {
      const one = new X509Certificate(der);
      return !one.verify(one.publicKey);
    });
    expect(bag.length - crossed.length).toBe(2);
    const told = await write('told.pem', crossed.map((der) => toPem('CERTIFICATE', der)).join(''));
    expect(await verify(root, told, device.certificateFile)).toMatchObject({ status: 0 });
    // Each key has its CRL, and each verifies its own (C22).
    for (const [issuer, file] of [
      [fresh, freshRoot],
      [await shown(rootId), root],
    ] as const) {
      const crl = await laboratory.instance.status(new URL(issuer.crl).pathname);
      const checked = await run('openssl', ['crl', '-inform', 'DER', '-noout', '-CAfile', file], { input: crl.body });
      expect(checked.all).toContain('verify OK');
    }
    expect(fresh.crl).not.toBe((await shown(rootId)).crl);
  }, 120_000);

  test("a customer's CA is bound by its constraints, whoever verifies it (X22)", async () => {
    const { file, write, rootId } = laboratory;
    const active = (await laboratory.instance.api('GET', '/v1/issuers'))
      .json<{ items: (Shown & { kind: string })[] }>()
      .items.find((one) => one.kind === 'root' && one.status === 'active')!;
    expect(active.id).not.toBe(rootId);
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    await succeed('openssl', [
      'req',
      '-new',
      ...key,
      '-keyout',
      file('c.key'),
      '-out',
      file('c.csr'),
      '-subj',
      '/O=C/CN=C CA',
    ]);
    const constraint = ['--permit-dns', 'customer.example'];
    const { serial } = await decided('ca', 'cross-sign', active.id, '--csr', file('c.csr'), ...constraint);
    const sub = (await shown(active.id)).links.find(({ form }) => form === 'subCa')!.pem;
    const subFile = await write('sub.pem', sub);
    const root = await write('active-root.pem', active.pem);
    expect(await verify(root, subFile, subFile)).toMatchObject({ status: 0 });
    const leaf = async (host: string) => {
      const name = file(`${host}.pem`);
      await succeed('openssl', [
        'req',
        '-new',
        ...key,
        '-keyout',
        file('l.key'),
        '-out',
        file('l.csr'),
        '-subj',
        `/CN=${host}`,
      ]);
      const extensions = `subjectAltName=DNS:${host}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\nbasicConstraints=CA:FALSE\n`;
      await succeed('openssl', [
        ...['x509', '-req', '-in', file('l.csr'), '-CA', subFile, '-CAkey', file('c.key'), '-days', '1'],
        ...['-set_serial', '1', '-extfile', await write('l.ext', extensions), '-out', name],
      ]);
      return name;
    };
    expect(await verify(root, subFile, await leaf('a.customer.example'))).toMatchObject({ status: 0 });
    const outside = await verify(root, subFile, await leaf('a.other.example'));
    expect(outside.status).not.toBe(0);
    expect(outside.stderr).toContain('permitted subtree violation');
    // It is taken back as it was given: by two people.
    await decided('cert', 'revoke', String(serial), '--reason', 'superseded');
    const revoked = await laboratory.instance.api('GET', `/v1/certificates/${serial}`);
    expect(revoked.json<{ status: string }>().status).toBe('revoked');
  }, 120_000);

  test('an offline root made in a ceremony certifies a CA of ours; openssl checks path, CRL and transcript', async () => {
    const { file, write, instance } = laboratory;
    const { issuerId } = await decided('ca', 'create', 'Under offline', '--external', '--key-type', 'ec-p384');
    await cli('ca', 'csr', issuerId!, '--out', file('offline.csr')).then(async (json) =>
      write('offline.csr', (JSON.parse(json) as { pem: string }).pem),
    );
    await succeed('openssl', ['req', '-in', file('offline.csr'), '-noout', '-verify']);
    const script = {
      title: 'First ceremony',
      place: 'Room 1',
      participants: [
        { name: 'Alice', role: 'key holder' },
        { name: 'Bob', role: 'witness' },
      ],
      steps: [
        { do: 'init', name: 'Ceremony Root', organization: 'Example' },
        { do: 'sign', csr: 'offline.csr', out: 'offline.pem', statusUrl: instance.urls.status },
        { do: 'crl', out: 'offline.crl' },
        { do: 'note', text: 'The safe was closed by Bob.' },
      ],
    };
    const where = ['--dir', file('ceremony'), '--passphrase-file', file('passphrase')];
    await write('ceremony.json', JSON.stringify(script));
    await touchmark('ca', 'ceremony', 'run', ...where, '--script', file('ceremony.json'), '--yes');
    const [transcript, root] = [file('ceremony/transcript.jsonl'), file('ceremony/root.pem')];
    expect(await verify(root, root, file('offline.pem'), '-crl_check', '-CRLfile', file('offline.crl'))).toMatchObject({
      status: 0,
    });

    // The transcript by openssl alone, then by ours; a changed letter is seen by both.
    await write('root.pub', await succeed('openssl', ['x509', '-in', root, '-noout', '-pubkey']));
    const signed = (text: string) =>
      run('openssl', [
        ...['dgst', '-sha384', '-verify', file('root.pub'), '-signature', file('ceremony/transcript.sig'), text],
      ]);
    expect(await signed(transcript)).toMatchObject({ status: 0 });
    const verified = JSON.parse(
      await touchmark('ca', 'ceremony', 'verify', '--dir', file('ceremony'), '--files', laboratory.directory, '--json'),
    ) as object;
    expect(verified).toMatchObject({
      lines: 6,
      participants: ['Alice (key holder)', 'Bob (witness)'],
      outputsChecked: 3,
    });
    const altered = await write('altered.jsonl', (await readFile(transcript, 'utf8')).replace('Bob', 'Rob'));
    expect((await signed(altered)).status).not.toBe(0);
    const refused = touchmark('ca', 'ceremony', 'verify', '--dir', file('ceremony'), '--transcript', altered);
    await expect(refused).rejects.toThrow(/not signed by this root/);

    const chain = ['--chain', root, '--crl', file('offline.crl')];
    await decided('ca', 'import', issuerId!, '--certificate', file('offline.pem'), ...chain);
    await decided('ca', 'activate', issuerId!);
    const device = await deviceUnder('Under offline');
    expect(await verify(root, file('offline.pem'), device.certificateFile)).toMatchObject({ status: 0 });
    // Where its certificate says, the CRL of the offline root is served.
    const served = await eventually(() => crlOf(laboratory, file('offline.pem')).catch(() => undefined), {
      within: 20_000,
      what: 'the CRL of the offline root is served',
    });
    expect(served).toBe(await succeed('openssl', ['crl', '-in', file('offline.crl')]));

    // The next one lists the CA: it is over.
    const serial = (await succeed('openssl', ['x509', '-in', file('offline.pem'), '-noout', '-serial']))
      .trim()
      .slice(7);
    const revoke = ['--revoke', `${serial.toLowerCase()}:cACompromise`, '--out', file('next.crl')];
    await touchmark('ca', 'root', 'crl', ...where, ...revoke);
    const { id } = JSON.parse(await cli('ca', 'show', issuerId!)) as { id: string; parentId: string };
    const parent = (JSON.parse(await cli('ca', 'show', id)) as { parentId: string }).parentId;
    const imported = JSON.parse(await cli('ca', 'import-crl', parent, '--crl', file('next.crl'))) as object;
    expect(imported).toMatchObject({ number: 2, revoked: [issuerId] });
    const over = await verify(root, root, file('offline.pem'), '-crl_check', '-CRLfile', file('next.crl'));
    expect(over.stderr).toContain('certificate revoked');
    expect((await shown(issuerId!)).status).toBe('revoked');
  }, 120_000);
});
