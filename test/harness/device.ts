import { createPrivateKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { encodeCsr, readCertsOnly, readPublicKey, toPem, type CsrTemplate } from '#pki';
import type { TestInstance } from './instance.js';
import type { Reply } from './http.js';

export interface DeviceKey {
  privateKey: KeyObject;
  spki: Buffer;
  pem: string;
}

export function newKey(namedCurve = 'P-256'): DeviceKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });
  return {
    privateKey,
    spki: publicKey.export({ type: 'spki', format: 'der' }),
    pem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

export interface Registered {
  id: string;
  instanceId: string;
  appId: string;
  releaseId: string;
  username: string;
  secret: string;
}

let counter = 0;

/** Vendor, app and release of their own. */
export async function registerRelease(
  instance: TestInstance,
): Promise<{ vendorId: string; appId: string; releaseId: string }> {
  const n = ++counter;
  const vendor = await expectCreated(
    instance.api('POST', '/v1/organizations', { name: `Vendor ${n}`, kind: 'vendor' }),
  );
  const app = await expectCreated(instance.api('POST', '/v1/apps', { name: `App ${n}`, vendorId: vendor.id }));
  const release = await expectCreated(instance.api('POST', `/v1/apps/${app.id}/releases`, { version: '1.0.0' }));
  return { vendorId: vendor.id, appId: app.id, releaseId: release.id };
}

export async function registerTestDevice(
  instance: TestInstance,
  owner?: { appId: string; releaseId: string },
): Promise<Registered> {
  const { appId, releaseId } = owner ?? (await registerRelease(instance));
  const reply = await instance.api('POST', '/v1/devices', { appId, releaseId });
  if (reply.status !== 201) throw new Error(`device: ${reply.status} ${reply.text}`);
  const body = reply.json<{ id: string; instanceId: string; enrollment: { username: string; secret: string } }>();
  return { id: body.id, instanceId: body.instanceId, appId, releaseId, ...body.enrollment };
}

async function expectCreated(reply: Promise<Reply>): Promise<{ id: string }> {
  const { status, text, json } = await reply;
  if (status !== 201) throw new Error(`expected 201, got ${status} ${text}`);
  return json<{ id: string }>();
}

/** DER of a PKCS #10 request for the device's own names; `wishes` replaces parts of it. */
export function csrOf(
  device: { id: string; instanceId: string },
  key: DeviceKey,
  wishes: Partial<CsrTemplate> = {},
): Buffer {
  return encodeCsr(
    {
      subject: [[{ type: '2.5.4.3', value: device.id }]],
      publicKey: readPublicKey(key.spki),
      san: [{ type: 'uri', value: `urn:uuid:${device.instanceId}` }],
      ...wishes,
    },
    key.privateKey,
  );
}

export const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

export function simpleEnroll(
  instance: TestInstance,
  device: { username: string; secret: string },
  csr: Buffer,
): Promise<Reply> {
  return instance.est('/.well-known/est/simpleenroll', {
    method: 'POST',
    headers: { authorization: basic(device.username, device.secret), 'content-type': 'application/pkcs10' },
    body: csr.toString('base64'),
  });
}

export function simpleReenroll(
  instance: TestInstance,
  identity: { certificate: Buffer; key: DeviceKey },
  csr: Buffer,
): Promise<Reply> {
  return instance.est('/.well-known/est/simplereenroll', {
    method: 'POST',
    headers: { 'content-type': 'application/pkcs10' },
    body: csr.toString('base64'),
    tls: { cert: toPem('CERTIFICATE', identity.certificate), key: identity.key.pem },
  });
}

/** The one certificate of a certs-only reply. */
export function certificateOf(reply: Reply): Buffer {
  if (reply.status !== 200) throw new Error(`expected a certificate, got ${reply.status} ${reply.text}`);
  const [certificate] = readCertsOnly(Buffer.from(reply.text, 'base64'));
  if (!certificate) throw new Error('no certificate in the reply');
  return certificate;
}

export const signWith = (key: DeviceKey, message: Buffer): Buffer => sign('sha256', message, createPrivateKey(key.pem));
