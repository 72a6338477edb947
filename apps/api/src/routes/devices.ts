import { Body, Controller, Get, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiResponse } from '@nestjs/swagger';
import { z } from 'zod';
import {
  allowLateRenewal,
  changeDevice,
  deviceStatus,
  dryRun,
  propose,
  registerDevice,
  resetDevice,
  resumeDevice,
  revokeDevice,
  suspendDevice,
  type Actor,
  type AuthorityContext,
} from '#authority';
import { findDevice, isId, listDevices } from '#store';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, createOnce, Http, read, TheAuthority, type Exchange } from '../authority-module.js';
import {
  deviceChange,
  deviceJson,
  devicePage,
  deviceQuery,
  deviceRevocation,
  deviceSchema,
  enrollmentJson,
  enrollmentSchema,
  lateRenewal,
  lateRenewalSchema,
  newDevice,
  registeredDeviceSchema,
} from '../schema/devices.js';
import { proposedJson, proposedSchema } from '../proposals.js';
import { dryRunJson, dryRunOf, dryRunRequest, dryRunSchema } from '../schema/dry-run.js';
import { receiptJson, receiptSchema } from '../schema/receipt.js';
import { nothing } from '../schema/values.js';
import { deviceId, found } from './path-forms.js';

const resetSchema = z.strictObject({ enrollment: enrollmentSchema }).meta({ id: 'DeviceReset' });
/** For a revoked device a second person is asked first. */
const resetAnswer = z.union([resetSchema, proposedSchema]);

@Controller('v1/devices')
export class DeviceRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Post()
  @Access('device:register')
  @Answers('Register a device; its one-time secret is shown only here', registeredDeviceSchema, 201)
  register(@By() by: Actor, @Http() http: Exchange, @Body({ schema: newDevice }) body: z.infer<typeof newDevice>) {
    return createOnce(this.a, by, http, { secret: true }, async (a) => {
      const { device, enrollment } = await registerDevice(a, by, body);
      return { ...deviceJson(a, device), enrollment: enrollmentJson(enrollment) };
    });
  }

  @Get()
  @Access('device:read')
  @Answers('List devices', devicePage)
  async list(@By() by: Actor, @Query({ schema: deviceQuery }) query: z.infer<typeof deviceQuery>) {
    const ids = [query.appId, query.groupId].filter((id) => id !== undefined);
    if (!ids.every(isId)) return { items: [], nextCursor: null };
    const { items, nextCursor } = await read(this.a, by, (tx) => listDevices(tx, query, query));
    return { items: items.map((row) => deviceJson(this.a, row)), nextCursor };
  }

  @Get(':id')
  @Access('device:read')
  @Answers('Get a device', deviceSchema)
  async get(@By() by: Actor, @Param('id', deviceId) id: string) {
    return deviceJson(this.a, found(await read(this.a, by, (tx) => findDevice(tx, id)), 'device'));
  }

  @Patch(':id')
  @Access('device:change')
  @Answers('Move a device to another group or release; give it other names or another profile', deviceSchema)
  async change(
    @By() by: Actor,
    @Param('id', deviceId) id: string,
    @Body({ schema: deviceChange }) body: z.infer<typeof deviceChange>,
  ) {
    return deviceJson(this.a, await changeDevice(this.a, by, id, body));
  }

  @Post(':id/dry-run')
  @Access('device:try')
  @Answers('Try out what the device would be issued, and why not; nothing is done', dryRunSchema)
  async tryOut(
    @By() by: Actor,
    @Param('id', deviceId) id: string,
    @Body({ schema: dryRunRequest }) body: z.infer<typeof dryRunRequest>,
  ) {
    return dryRunJson(await dryRun(this.a, by, id, dryRunOf(body)));
  }

  @Post(':id/reset')
  @Access('device:reset')
  @Answers('Grant one re-enrollment: a new one-time secret, shown only here', resetAnswer, 201)
  @ApiResponse({
    status: 202,
    description: 'The device is revoked: a second person approves',
    standardSchema: proposedSchema,
  })
  async reset(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('id', deviceId) id: string,
    @Body({ schema: nothing }) _: z.infer<typeof nothing>,
  ) {
    const device = found(await read(this.a, by, (tx) => findDevice(tx, id)), 'device');
    const revoked = deviceStatus(this.a, device) === 'revoked';
    const status = (answer: z.infer<typeof resetAnswer>) => ('approvalId' in answer ? 202 : 201);
    return createOnce<z.infer<typeof resetAnswer>>(this.a, by, http, { secret: true, status }, async (a) =>
      revoked
        ? proposedJson(await propose(a, by, 'device.reenroll', { deviceId: id }))
        : { enrollment: enrollmentJson((await resetDevice(a, by, id)).enrollment) },
    );
  }

  @Post(':id/allow-late-renewal')
  @Access('device:reset')
  @Answers('Let a device renew once with a certificate that has ended; never one that was revoked', lateRenewalSchema)
  async allowLateRenewal(
    @By() by: Actor,
    @Param('id', deviceId) id: string,
    @Body({ schema: lateRenewal }) body: z.infer<typeof lateRenewal>,
  ) {
    const { expiresAt } = await allowLateRenewal(this.a, by, id, body);
    return { deviceId: id, expiresAt: expiresAt.toISOString() };
  }

  @Post(':id/suspend')
  @Access('device:suspend')
  @Answers('Suspend a device: its certificates go on hold', receiptSchema)
  async suspend(
    @By() by: Actor,
    @Param('id', deviceId) id: string,
    @Body({ schema: nothing }) _: z.infer<typeof nothing>,
  ) {
    return receiptJson(await suspendDevice(this.a, by, id));
  }

  @Post(':id/resume')
  @Access('device:resume')
  @Answers('Lift the suspension of a device', receiptSchema)
  async resume(
    @By() by: Actor,
    @Param('id', deviceId) id: string,
    @Body({ schema: nothing }) _: z.infer<typeof nothing>,
  ) {
    return receiptJson(await resumeDevice(this.a, by, id));
  }

  @Post(':id/revoke')
  @Access('device:revoke')
  @Answers('Revoke a device and every certificate of it', receiptSchema)
  async revoke(
    @By() by: Actor,
    @Param('id', deviceId) id: string,
    @Body({ schema: deviceRevocation }) body: z.infer<typeof deviceRevocation>,
  ) {
    return receiptJson(await revokeDevice(this.a, by, id, body));
  }
}
