import { generateKeyPairSync } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { addSeconds, type Clock } from '#kernel';
import { encodeCsr, OID, readCertificate, readCertsOnly, readPublicKey } from '#pki';
import type { CanaryThings } from '#store';
import type { CanaryClient } from './client.js';
import { ChannelFailure, CHANNELS, expectThat, type Channel } from './channels.js';
import { askOcsp, isListed, type CanaryIssuer } from './status.js';
import { clearLeftovers, completeThings, type CanaryDevice } from './things.js';

/** A revocation that a channel does not show after so long has failed there. */
const VISIBLE_MS = 15_000;
const ASK_AGAIN_MS = 100;
/** The key ends by itself soon, whatever becomes of the run. */
const KEY_SECONDS = 3600;

export interface CanaryRun {
  /** Milliseconds. */
  durations: Partial<Record<Channel, number>>;
  failure: { channel: Channel; error: unknown } | undefined;
}

export interface CanaryWorld {
  client: CanaryClient;
  clock: Clock;
  things: CanaryThings;
  issuerOf(issuerId: string): Promise<CanaryIssuer | undefined>;
}

interface Enrolled {
  serial: string;
  shard: number;
  issuer: CanaryIssuer;
}

/** One life of a key and of a certificate, from outside. Never throws: what fails is part of the result. */
export async function runCanary(world: CanaryWorld): Promise<CanaryRun> {
  const { client, clock } = world;
  const timings = new Timings(clock);
  try {
    const device = await timings.time('prepare', async () => {
      const made = await completeThings(client, world.things);
      await clearLeftovers(client, made);
      return made;
    });
    const key = await timings.time('issueKey', () => issueKey(world, device));
    await timings.time('introspect', () => until(clock, () => client.isActive(key.key)));
    const enrolled = await timings.time('enroll', () => enroll(world, device));
    await timings.time('ocspGood', () => until(clock, () => ocspSays(world, enrolled, 'good')));
    await revokeBoth(world, timings, key, enrolled);
  } catch (error) {
    // The failure that timings noted says where.
    if (timings.failure === undefined) timings.failure = { channel: 'prepare', error };
  }
  return { durations: timings.durations, failure: timings.failure };
}

class Timings {
  readonly durations: Partial<Record<Channel, number>> = {};
  failure: CanaryRun['failure'];

  constructor(private readonly clock: Clock) {}

  async time<T>(channel: Channel, work: () => Promise<T>): Promise<T> {
    const begin = this.clock.monotonicMs();
    try {
      const result = await work();
      this.durations[channel] = Math.round(this.clock.monotonicMs() - begin);
      return result;
    } catch (error) {
      const earlier = this.failure && CHANNELS.indexOf(this.failure.channel) < CHANNELS.indexOf(channel);
      if (earlier !== true) this.failure = { channel, error };
      throw error;
    }
  }
}

/** Every channel has its own time: one that fails does not hide how the others do. */
async function revokeBoth(
  world: CanaryWorld,
  timings: Timings,
  key: { id: string; key: string },
  { serial, shard, issuer }: Enrolled,
): Promise<void> {
  const { client, clock } = world;
  await timings.time('introspectRevoked', async () => {
    await client.post(`/v1/keys/${key.id}/revoke`, { reason: 'superseded' }, z.unknown());
    await until(clock, async () => !(await client.isActive(key.key)));
  });
  const begun = client.post(`/v1/certificates/${serial}/revoke`, { reason: 'superseded' }, z.unknown());
  const after = (holds: () => Promise<boolean>) => async () => {
    await begun;
    await until(clock, holds);
  };
  const ended = await Promise.allSettled([
    timings.time(
      'ocspRevoked',
      after(() => ocspSays(world, { serial, issuer }, 'revoked')),
    ),
    timings.time(
      'crlRevoked',
      after(() => isListed(client, issuer, shard, serial)),
    ),
  ]);
  const failed = ended.find((one) => one.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

function issueKey({ client, clock }: CanaryWorld, { releaseId }: CanaryDevice) {
  const expiresAt = addSeconds(clock.now(), KEY_SECONDS).toISOString();
  const body = { releaseId, audience: 'all', environment: 'test', expiresAt };
  return client.post('/v1/keys', body, z.object({ id: z.string(), key: z.string() }));
}

/** A new key pair each time, which nobody keeps. */
async function enroll({ client, issuerOf }: CanaryWorld, device: CanaryDevice): Promise<Enrolled> {
  const secretShape = z.object({ enrollment: z.object({ username: z.string(), secret: z.string() }) });
  const { enrollment } = await client.post(`/v1/devices/${device.deviceId}/reset`, {}, secretShape);
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const csr = encodeCsr(
    {
      subject: [[{ type: OID.commonName, value: device.deviceId }]],
      publicKey: readPublicKey(publicKey.export({ type: 'spki', format: 'der' })),
      san: [{ type: 'uri', value: `urn:uuid:${device.instanceId}` }],
    },
    privateKey,
  );
  const answer = await client.enroll(enrollment.username, enrollment.secret, csr);
  const [bytes] = readCertsOnly(Buffer.from(answer, 'base64'));
  expectThat(bytes !== undefined, 'EST answers without a certificate');
  const { serial } = readCertificate(bytes);
  const shape = z.object({ issuerId: z.string(), shard: z.int() });
  const { issuerId, shard } = await client.get(`/v1/certificates/${serial}`, shape);
  const issuer = await issuerOf(issuerId);
  expectThat(issuer !== undefined, 'the certificate is of an unknown issuer');
  return { serial, shard, issuer };
}

const ocspSays = async (
  { client }: CanaryWorld,
  { issuer, serial }: Pick<Enrolled, 'issuer' | 'serial'>,
  status: string,
): Promise<boolean> => (await askOcsp(client, issuer, serial)) === status;

async function until(clock: Clock, holds: () => Promise<boolean>): Promise<void> {
  const begin = clock.monotonicMs();
  while (!(await holds())) {
    if (clock.monotonicMs() - begin > VISIBLE_MS) {
      throw new ChannelFailure('late', `not seen within ${VISIBLE_MS / 1000} s`);
    }
    await delay(ASK_AGAIN_MS);
  }
}
