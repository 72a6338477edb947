import { Body, Controller, Delete, Get, Param, Patch, Post, Query } from '@nestjs/common';
import { z } from 'zod';
import {
  changeMailSubscription,
  createMailSubscription,
  removeMailSubscription,
  type Actor,
  type AuthorityContext,
} from '#authority';
import { findMailSubscription, listMailSubscriptions } from '#store';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, createOnce, Http, read, TheAuthority, type Exchange } from '../authority-module.js';
import {
  eventTypeList,
  eventTypesJson,
  mailSubscriptionChange,
  mailSubscriptionJson,
  mailSubscriptionPage,
  mailSubscriptionSchema,
  newMailSubscription,
} from '../schema/notices.js';
import { pageQuery } from '../schema/values.js';
import { found, subscriptionId } from './path-forms.js';

const query = z.strictObject(pageQuery);

@Controller('v1/mail-subscriptions')
export class MailSubscriptionRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Post()
  @Access('notice:manage')
  @Answers('Have notices sent by mail', mailSubscriptionSchema, 201)
  create(
    @By() by: Actor,
    @Http() http: Exchange,
    @Body({ schema: newMailSubscription }) body: z.infer<typeof newMailSubscription>,
  ) {
    return createOnce(this.a, by, http, { secret: false }, async (a) =>
      mailSubscriptionJson(await createMailSubscription(a, by, body)),
    );
  }

  @Get()
  @Access('notice:read')
  @Answers('List mail subscriptions', mailSubscriptionPage)
  async list(@By() by: Actor, @Query({ schema: query }) page: z.infer<typeof query>) {
    const { items, nextCursor } = await read(this.a, by, (tx) => listMailSubscriptions(tx, page));
    return { items: items.map(mailSubscriptionJson), nextCursor };
  }

  @Get(':id')
  @Access('notice:read')
  @Answers('Get a mail subscription', mailSubscriptionSchema)
  async get(@By() by: Actor, @Param('id', subscriptionId) id: string) {
    const row = await read(this.a, by, (tx) => findMailSubscription(tx, id));
    return mailSubscriptionJson(found(row, 'mail subscription'));
  }

  @Patch(':id')
  @Access('notice:manage')
  @Answers('Change a mail subscription', mailSubscriptionSchema)
  async change(
    @By() by: Actor,
    @Param('id', subscriptionId) id: string,
    @Body({ schema: mailSubscriptionChange }) body: z.infer<typeof mailSubscriptionChange>,
  ) {
    return mailSubscriptionJson(await changeMailSubscription(this.a, by, id, body));
  }

  @Delete(':id')
  @Access('notice:manage')
  @Answers('End a mail subscription', mailSubscriptionSchema)
  async remove(@By() by: Actor, @Param('id', subscriptionId) id: string) {
    return mailSubscriptionJson(await removeMailSubscription(this.a, by, id));
  }
}

@Controller('v1/event-types')
export class EventTypeRoutes {
  @Get()
  @Access('notice:read')
  @Answers('List the events that notices tell of', eventTypeList)
  list() {
    return eventTypesJson();
  }
}
