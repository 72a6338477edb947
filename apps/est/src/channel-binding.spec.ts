import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { AddressInfo } from 'node:net';
import {
  connect,
  createServer,
  type ConnectionOptions,
  type SecureVersion,
  type Server,
  type TLSSocket,
} from 'node:tls';
import { once } from 'node:events';
import { isAuthorityError } from '#kernel';
import { selfSigned } from '../../../test/est/self-signed.js';
import { channelBinding, checkChannelBinding } from './channel-binding.js';
import { hasExtendedMasterSecret } from './extended-master-secret.js';
import { tlsOptions } from './tls.js';

const SSL_OP_NO_EXTENDED_MASTER_SECRET = 1;

let server: Server;
let accepted: TLSSocket[] = [];

beforeAll(async () => {
  server = createServer({ ...tlsOptions(await selfSigned()), requestCert: true, rejectUnauthorized: false });
  server.on('secureConnection', (socket) => {
    socket.on('error', () => undefined);
    accepted.push(socket);
    socket.write('.');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterAll(() => {
  for (const socket of accepted) socket.destroy();
  server.close();
});

/** Both ends of one connection. The first byte has arrived, so the handshake is over on both. */
async function pair(
  options: ConnectionOptions,
): Promise<{ client: TLSSocket; ours: TLSSocket; session: Buffer | undefined }> {
  accepted = [];
  const { port } = server.address() as AddressInfo;
  const client = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options });
  let session: Buffer | undefined;
  client.on('session', (ticket: Buffer) => (session = ticket));
  client.on('error', () => undefined);
  await once(client, 'readable');
  const [ours] = accepted;
  if (ours === undefined) throw new Error('no connection was accepted');
  return { client, ours, session };
}

const on = (version: SecureVersion): ConnectionOptions => ({ minVersion: version, maxVersion: version });

function refusal(work: () => void): string {
  try {
    work();
  } catch (error) {
    if (isAuthorityError(error, 'invalid') && error.code === 'channelBinding') return error.detail;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('channel binding', () => {
  it('on TLS 1.2 is tls-unique: the client Finished of a full handshake (E61, E62)', async () => {
    const { client, ours } = await pair(on('TLSv1.2'));
    expect(client.getFinished()).toHaveLength(12);
    expect(channelBinding(ours)).toEqual(client.getFinished());
    checkChannelBinding(ours, client.getFinished()?.toString('base64'));
    client.destroy();
  });

  it('on a resumed TLS 1.2 session is the server Finished (E62)', async () => {
    const first = await pair(on('TLSv1.2'));
    if (first.session === undefined) throw new Error('no session was given');
    const { client, ours } = await pair({ ...on('TLSv1.2'), session: first.session });
    expect(client.isSessionReused()).toBe(true);
    expect(channelBinding(ours)).toEqual(client.getPeerFinished());
    expect(channelBinding(ours)).not.toEqual(client.getFinished());
    first.client.destroy();
    client.destroy();
  });

  it('on TLS 1.2 without extended master secret is refused, right or not (E63)', async () => {
    const { client, ours } = await pair({ ...on('TLSv1.2'), secureOptions: SSL_OP_NO_EXTENDED_MASTER_SECRET });
    expect(hasExtendedMasterSecret(ours.getSession())).toBe(false);
    expect(refusal(() => checkChannelBinding(ours, client.getFinished()?.toString('base64')))).toContain(
      'extended master secret',
    );
    client.destroy();
  });

  it('on TLS 1.3 is the exporter with an empty context, never a Finished (E64, E65)', async () => {
    const { client, ours } = await pair(on('TLSv1.3'));
    const exported = client.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0));
    expect(channelBinding(ours)).toEqual(exported);
    checkChannelBinding(ours, exported.toString('base64'));
    expect(refusal(() => checkChannelBinding(ours, client.getFinished()?.toString('base64')))).toContain('failed');
    client.destroy();
  });

  it('of another connection does not fit, nor does anything that is near', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const one = await pair(on(version));
      const other = await pair(on(version));
      const foreign = channelBinding(one.ours).toString('base64');
      expect(refusal(() => checkChannelBinding(other.ours, foreign))).toContain('RFC 7030 section 3.5');
      const own = channelBinding(other.ours).toString('base64');
      for (const near of [
        'x',
        own.slice(1),
        `${own} `,
        own.toLowerCase(),
        channelBinding(other.ours).toString('hex'),
      ]) {
        if (near !== own) refusal(() => checkChannelBinding(other.ours, near));
      }
      one.client.destroy();
      other.client.destroy();
    }
  });

  it('is not asked for where the request has none', async () => {
    const { client, ours } = await pair({ ...on('TLSv1.2'), secureOptions: SSL_OP_NO_EXTENDED_MASTER_SECRET });
    expect(() => checkChannelBinding(ours, undefined)).not.toThrow();
    client.destroy();
  });
});

describe('extended master secret', () => {
  it('is read from the session of a normal TLS 1.2 client', async () => {
    const { client, ours } = await pair(on('TLSv1.2'));
    expect(hasExtendedMasterSecret(ours.getSession())).toBe(true);
    client.destroy();
  });

  it('counts as absent in anything that is no session', () => {
    for (const junk of ['', '30', '3003ad0101', '3005ad03020100', 'ffffffff', '30800000']) {
      expect(hasExtendedMasterSecret(Buffer.from(junk, 'hex'))).toBe(false);
    }
    expect(hasExtendedMasterSecret(undefined)).toBe(false);
  });
});

describe('the transport', () => {
  it('refuses TLS 1.1 and renegotiation (E02, E66)', async () => {
    const { port } = server.address() as AddressInfo;
    const old = connect({
      host: '127.0.0.1',
      port,
      rejectUnauthorized: false,
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    await expect(once(old, 'secureConnect')).rejects.toThrow();
    const { client } = await pair(on('TLSv1.2'));
    const failure = await new Promise((resolve) => {
      client.once('error', resolve);
      client.once('close', () => resolve('closed'));
      client.renegotiate({ rejectUnauthorized: false }, (error) => {
        if (error) resolve(error);
      });
    });
    expect(failure).toBeTruthy();
    client.destroy();
  });

  it.each(['NULL-SHA256', 'ADH-AES128-SHA256', 'AECDH-AES128-SHA', 'DES-CBC3-SHA', 'AES128-SHA'])(
    'never agrees on %s (E03)',
    async (cipher) => {
      const { port } = server.address() as AddressInfo;
      const attempt = async () => {
        const socket = connect({
          host: '127.0.0.1',
          port,
          rejectUnauthorized: false,
          maxVersion: 'TLSv1.2',
          ciphers: `${cipher}:@SECLEVEL=0`,
        });
        await once(socket, 'secureConnect');
        socket.destroy();
      };
      await expect(attempt()).rejects.toThrow();
    },
  );
});
