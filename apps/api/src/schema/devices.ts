import { z } from 'zod';
import { deviceStatus, LATE_RENEWAL_DAYS, type AuthorityContext } from '#authority';
import { NAME_TYPES } from '#policy';
import type { Device } from '#store';
import { manufacturerId, sha256Hex } from './device-identities.js';
import { id, pageOf, pageQuery, text, time } from './values.js';

const status = z.enum(['registered', 'enrolled', 'suspended', 'revoked']);

const name = z.union([
  text(400).meta({ description: 'with its scheme: sip:, im:, pres:, xmpp:, mailto:, dns:, ip:, urn:uuid:' }),
  z.strictObject({ type: z.enum(NAME_TYPES), value: text(400) }),
]);
const names = z
  .array(name)
  .max(100)
  .meta({ description: 'what its certificates are to name, as its profile has it and its organization holds them' });

export const newDevice = z
  .strictObject({
    appId: id,
    releaseId: id.optional(),
    groupId: id.optional(),
    instanceId: z
      .string()
      .regex(
        /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/,
        'must be a lower-case UUID without urn:uuid:',
      )
      .optional()
      .meta({ description: 'lower-case UUID; default a random one' }),
    profile: text(100).optional(),
    names: names.optional(),
    manufacturerId: manufacturerId.optional(),
    certificateFingerprint: sha256Hex.optional(),
    keyFingerprint: sha256Hex.optional(),
  })
  .meta({ id: 'NewDevice' });

export const deviceChange = z
  .strictObject({
    groupId: id.nullable().optional(),
    releaseId: id.nullable().optional(),
    profile: text(100).optional(),
    names: names.optional(),
    reason: z.enum(['affiliationChanged', 'superseded']).optional().meta({
      description: 'why certificates are revoked that carry a name, or a profile, which the device has no more',
    }),
  })
  .refine(
    ({ reason: _, ...change }) => Object.keys(change).length > 0,
    'must name groupId, releaseId, profile or names',
  )
  .meta({ id: 'DeviceChange', description: 'null takes the device out of its group or release' });

export const deviceRevocation = z
  .strictObject({ reason: z.string().min(1).max(40) })
  .meta({ id: 'DeviceRevocation', description: 'reason: a name of RFC 5280, not certificateHold' });

export const lateRenewal = z
  .strictObject({ days: z.number().int().min(1).max(LATE_RENEWAL_DAYS) })
  .meta({ id: 'LateRenewal', description: 'days: within which it has to be used' });
export const lateRenewalSchema = z.strictObject({ deviceId: id, expiresAt: time }).meta({ id: 'LateRenewalAllowed' });

const members = {
  id,
  instanceId: z.string().meta({ description: 'lower-case UUID' }),
  appId: id,
  releaseId: id.nullable(),
  groupId: id.nullable(),
  profile: z.string(),
  names: z.array(z.string()),
  status,
  createdAt: time,
};
export const enrollmentSchema = z
  .strictObject({
    username: z.string().meta({ description: 'the device id: user of HTTP Basic at EST' }),
    secret: z.string().meta({ description: 'one-time password, shown only here' }),
    expiresAt: time,
  })
  .meta({ id: 'Enrollment' });
export const deviceSchema = z.strictObject(members).meta({ id: 'Device' });
export const registeredDeviceSchema = z
  .strictObject({ ...members, enrollment: enrollmentSchema })
  .meta({ id: 'RegisteredDevice' });
export const devicePage = pageOf(deviceSchema);
export const deviceQuery = z.strictObject({
  ...pageQuery,
  status: status.optional(),
  appId: id.optional(),
  groupId: id.optional(),
});

export function deviceJson(a: AuthorityContext, row: Device): z.infer<typeof deviceSchema> {
  return {
    id: row.id,
    instanceId: row.instanceId,
    appId: row.appId,
    releaseId: row.releaseId,
    groupId: row.groupId,
    profile: row.profile,
    names: row.names,
    status: deviceStatus(a, row),
    createdAt: row.createdAt.toISOString(),
  };
}

export function enrollmentJson(enrollment: {
  username: string;
  secret: string;
  expiresAt: Date;
}): z.infer<typeof enrollmentSchema> {
  return {
    username: enrollment.username,
    secret: enrollment.secret,
    expiresAt: enrollment.expiresAt.toISOString(),
  };
}
