import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { CanaryThings } from '#store';
import type { CanaryClient } from './client.js';

/** Complete: what a run works with. */
export interface CanaryDevice {
  releaseId: string;
  deviceId: string;
  instanceId: string;
}

const WithId = z.object({ id: z.string() });
const Keys = z.object({ items: z.array(WithId) });
const Certificates = z.object({ items: z.array(z.object({ serial: z.string() })) });

/** Makes what is missing of app, release and device; each is there for good. */
export async function completeThings(client: CanaryClient, found: CanaryThings): Promise<CanaryDevice> {
  const appId =
    found.appId ?? (await client.post('/v1/apps', { name: 'Inner canary', vendorId: found.vendorId }, WithId)).id;
  const releaseId =
    found.releaseId ?? (await client.post(`/v1/apps/${appId}/releases`, { version: '1.0.0' }, WithId)).id;
  if (found.deviceId !== null && found.instanceId !== null) {
    return { releaseId, deviceId: found.deviceId, instanceId: found.instanceId };
  }
  const instanceId = randomUUID();
  const { id } = await client.post('/v1/devices', { appId, releaseId, instanceId }, WithId);
  return { releaseId, deviceId: id, instanceId };
}

/** Revokes what a run that broke off left behind. */
export async function clearLeftovers(client: CanaryClient, { releaseId, deviceId }: CanaryDevice): Promise<void> {
  const keys = await client.get(`/v1/keys?releaseId=${releaseId}&status=active`, Keys);
  for (const { id } of keys.items) await client.post(`/v1/keys/${id}/revoke`, { reason: 'superseded' }, z.unknown());
  const certificates = await client.get(`/v1/certificates?deviceId=${deviceId}&status=active`, Certificates);
  for (const { serial } of certificates.items) {
    await client.post(`/v1/certificates/${serial}/revoke`, { reason: 'superseded' }, z.unknown());
  }
}
