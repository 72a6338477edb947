import { Body, Controller, Delete, Get, Param, Put } from '@nestjs/common';
import { z } from 'zod';
import { registerTransportKey, removeTransportKey, type Actor, type AuthorityContext } from '#authority';
import { findDevice, listTransportKeys, findTransportKey } from '#store';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, read, TheAuthority } from '../authority-module.js';
import { newTransportKey, transportKeyJson, transportKeyPage, transportKeySchema } from '../schema/transport-keys.js';
import { deviceId, found, transportKeyId } from './path-forms.js';

@Controller('v1/devices/:id/transport-keys')
export class TransportKeyRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Get()
  @Access('device:read')
  @Answers(
    'List the symmetric keys of a device that server-made keys can be encrypted to, never the keys',
    transportKeyPage,
  )
  async list(@By() by: Actor, @Param('id', deviceId) id: string) {
    const rows = await read(this.a, by, async (tx) => {
      found(await findDevice(tx, id), 'device');
      return listTransportKeys(tx, id);
    });
    return { items: rows.map(transportKeyJson), nextCursor: null };
  }

  @Put(':keyIdentifier')
  @Access('device:change')
  @Answers('Register a symmetric key that a device holds, in place of one of the same identifier', transportKeySchema)
  async register(
    @By() by: Actor,
    @Param('id', deviceId) id: string,
    @Param('keyIdentifier', transportKeyId) keyIdentifier: string,
    @Body({ schema: newTransportKey }) { key }: z.infer<typeof newTransportKey>,
  ) {
    const request = { keyIdentifier: Buffer.from(keyIdentifier, 'hex'), key: Buffer.from(key, 'base64') };
    return transportKeyJson(await registerTransportKey(this.a, by, id, request));
  }

  @Delete(':keyIdentifier')
  @Access('device:change')
  @Answers('Remove a symmetric key of a device for good', transportKeySchema)
  async remove(
    @By() by: Actor,
    @Param('id', deviceId) id: string,
    @Param('keyIdentifier', transportKeyId) keyIdentifier: string,
  ) {
    const identifier = Buffer.from(keyIdentifier, 'hex');
    const row = found(await read(this.a, by, (tx) => findTransportKey(tx, id, identifier)), 'transport key');
    await removeTransportKey(this.a, by, id, identifier);
    return transportKeyJson(row);
  }
}
