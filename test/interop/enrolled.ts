import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { X509Certificate } from 'node:crypto';
import { toPem } from '#pki';
import {
  certificateOf,
  csrOf,
  newKey,
  registerTestDevice,
  simpleEnroll,
  type DeviceKey,
  type Registered,
} from '../harness/device.js';
import { startTestInstance, type TestInstance } from '../harness/instance.js';
import { succeed } from './program.js';
import { eventually } from './server.js';

/** An instance and a directory with its CA certificates as files, for programs that read files. */
export interface Laboratory {
  instance: TestInstance;
  directory: string;
  /** PEM files. */
  root: string;
  issuing: string;
  issuingId: string;
  rootId: string;
  file(name: string): string;
  write(name: string, content: Buffer | string): Promise<string>;
  close(): Promise<void>;
}

export async function openLaboratory(env: Record<string, string> = {}): Promise<Laboratory> {
  const instance = await startTestInstance(env);
  const directory = await mkdtemp(path.join(tmpdir(), 'touchmark-interop-'));
  const file = (name: string) => path.join(directory, name);
  const write = async (name: string, content: Buffer | string) => {
    await writeFile(file(name), content);
    return file(name);
  };
  const reply = await instance.api('GET', '/v1/issuers');
  const { items } = reply.json<{ items: { id: string; kind: string; pem: string }[] }>();
  const issuing = items.find(({ kind }) => kind === 'issuing');
  const root = items.find(({ kind }) => kind === 'root');
  if (issuing === undefined || root === undefined) throw new Error(`issuers: ${reply.text}`);
  return {
    instance,
    directory,
    root: await write('root.pem', instance.rootPem),
    issuing: await write('issuing.pem', issuing.pem),
    issuingId: issuing.id,
    rootId: root.id,
    file,
    write,
    close: async () => {
      await instance.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A device with its certificate, also as files. */
export interface EnrolledDevice extends Registered {
  key: DeviceKey;
  certificate: Buffer;
  /** Lower-case hex, as the API writes it. */
  serial: string;
  keyFile: string;
  certificateFile: string;
  /** Certificate, then the issuing CA. */
  chainFile: string;
}

let counter = 0;

export async function enrollDevice(laboratory: Laboratory): Promise<EnrolledDevice> {
  const { instance, write } = laboratory;
  const device = await registerTestDevice(instance);
  const key = newKey();
  const certificate = certificateOf(await simpleEnroll(instance, device, csrOf(device, key)));
  const pem = toPem('CERTIFICATE', certificate);
  const name = `device-${++counter}`;
  const issuing = await succeed('openssl', ['x509', '-in', laboratory.issuing]);
  return {
    ...device,
    key,
    certificate,
    serial: new X509Certificate(certificate).serialNumber.toLowerCase(),
    keyFile: await write(`${name}.key`, key.pem),
    certificateFile: await write(`${name}.pem`, pem),
    chainFile: await write(`${name}-chain.pem`, `${pem.trimEnd()}\n${issuing}`),
  };
}

export async function revoke(laboratory: Laboratory, serial: string, reason = 'keyCompromise'): Promise<void> {
  const reply = await laboratory.instance.api('POST', `/v1/certificates/${serial}/revoke`, { reason });
  if (reply.status !== 200) throw new Error(`revoke: ${reply.status} ${reply.text}`);
}

/** URI in an extension of a certificate, as OpenSSL reads it. */
export async function uriOf(certificateFile: string, extension: string, before = ''): Promise<string> {
  const text = await succeed('openssl', ['x509', '-in', certificateFile, '-noout', '-ext', extension]);
  const uri = new RegExp(`^ *${before}URI:(.*)$`, 'm').exec(text)?.[1];
  if (uri === undefined) throw new Error(`no URI in ${extension}: ${text}`);
  return uri;
}

/** The CRL that a certificate names, as PEM made by OpenSSL. */
export async function crlOf(laboratory: Laboratory, certificateFile: string): Promise<string> {
  const { pathname } = new URL(await uriOf(certificateFile, 'crlDistributionPoints'));
  // That of a new CA is published before the CA is activated, and served when the status plane has looked again.
  const reply = await eventually(
    async () => {
      const answer = await laboratory.instance.status(pathname);
      return answer.status === 200 && answer;
    },
    { within: 10_000, what: `${pathname} is served` },
  );
  return succeed('openssl', ['crl', '-inform', 'DER'], { input: reply.body });
}

/** CRLs of a device certificate and of its issuing CA in one file, once the first lists `serial`. */
export async function crlsListing(laboratory: Laboratory, device: EnrolledDevice, within = 5000): Promise<string> {
  const listing = await eventually(
    async () => {
      const crl = await crlOf(laboratory, device.certificateFile);
      const text = await succeed('openssl', ['crl', '-noout', '-text'], { input: crl });
      return text.toLowerCase().includes(device.serial) ? crl : undefined;
    },
    { within, what: `the CRL lists ${device.serial}` },
  );
  return laboratory.write('crls.pem', listing + (await crlOf(laboratory, laboratory.issuing)));
}

export async function currentCrls(laboratory: Laboratory, device: EnrolledDevice): Promise<string> {
  const own = await crlOf(laboratory, device.certificateFile);
  return laboratory.write('crls.pem', own + (await crlOf(laboratory, laboratory.issuing)));
}
