import { Body, Controller, Delete, Get, HttpCode, Param, Post } from '@nestjs/common';
import type { z } from 'zod';
import { addFingerprint, removeFingerprint, type Actor, type AuthorityContext } from '#authority';
import { findDevice, isId, listDeviceIdentities } from '#store';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, createOnce, Http, read, TheAuthority, type Exchange } from '../authority-module.js';
import {
  deviceIdentityJson,
  deviceIdentityPage,
  deviceIdentitySchema,
  newFingerprint,
  removedIdentitySchema,
} from '../schema/device-identities.js';
import { absent, deviceId, found } from './path-forms.js';

/** What a device proves itself with before it has a certificate of ours. */
@Controller('v1/devices/:id/fingerprints')
export class DeviceFingerprintRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Get()
  @Access('device:read')
  @Answers('List what a device may enroll by besides its secret', deviceIdentityPage)
  async list(@By() by: Actor, @Param('id', deviceId) id: string) {
    const rows = await read(this.a, by, async (tx) => {
      found(await findDevice(tx, id), 'device');
      return listDeviceIdentities(tx, id);
    });
    return { items: rows.map(deviceIdentityJson), nextCursor: null };
  }

  @Post()
  @Access('device:register')
  @Answers('Register the fingerprint of a certificate, or of a key, of a device', deviceIdentitySchema, 201)
  add(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('id', deviceId) id: string,
    @Body({ schema: newFingerprint }) body: z.infer<typeof newFingerprint>,
  ) {
    return createOnce(this.a, by, http, { secret: false }, async (a) =>
      deviceIdentityJson(await addFingerprint(a, by, id, { kind: body.of, value: body.sha256 })),
    );
  }

  @Delete(':fingerprintId')
  @HttpCode(200)
  @Access('device:register')
  @Answers('Remove a fingerprint: nobody enrolls by it any more', removedIdentitySchema)
  async remove(@By() by: Actor, @Param('id', deviceId) id: string, @Param('fingerprintId') fingerprintId: string) {
    if (!isId(fingerprintId)) throw absent('fingerprint');
    await removeFingerprint(this.a, by, id, fingerprintId);
    return { id: fingerprintId, status: 'removed' as const };
  }
}
