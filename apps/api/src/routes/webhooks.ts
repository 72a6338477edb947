import { Body, Controller, Delete, Get, Param, Patch, Post, Query } from '@nestjs/common';
import { z } from 'zod';
import {
  changeWebhook,
  createWebhook,
  removeWebhook,
  replayDelivery,
  rotateWebhook,
  testWebhook,
  WebhookGuard,
  type Actor,
  type AuthorityContext,
} from '#authority';
import { findWebhook, listAttempts, listDeliveries, listWebhooks } from '#store';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, createOnce, Http, read, TheAuthority, type Exchange } from '../authority-module.js';
import {
  deliveryJson,
  deliveryPage,
  deliverySchema,
  newWebhook,
  webhookChange,
  webhookJson,
  webhookPage,
  webhookSchema,
  webhookWithSecretJson,
  webhookWithSecretSchema,
} from '../schema/notices.js';
import { nothing, pageQuery } from '../schema/values.js';
import { deliveryId, found, webhookId } from './path-forms.js';

const query = z.strictObject(pageQuery);

@Controller('v1/webhooks')
export class WebhookRoutes {
  private readonly guard: WebhookGuard;

  constructor(@TheAuthority() private readonly a: AuthorityContext) {
    this.guard = new WebhookGuard(a.settings.webhooks.allowedNetworks);
  }

  @Post()
  @Access('notice:manage')
  @Answers('Create a webhook of the own organization; its secret is shown only here', webhookWithSecretSchema, 201)
  async create(
    @By() by: Actor,
    @Http() http: Exchange,
    @Body({ schema: newWebhook }) body: z.infer<typeof newWebhook>,
  ) {
    const { url } = await this.guard.check(body.url);
    return createOnce(this.a, by, http, { secret: true }, async (a) =>
      webhookWithSecretJson(await createWebhook(a, by, { ...body, url })),
    );
  }

  @Get()
  @Access('notice:read')
  @Answers('List webhooks, never their secrets', webhookPage)
  async list(@By() by: Actor, @Query({ schema: query }) page: z.infer<typeof query>) {
    const { items, nextCursor } = await read(this.a, by, (tx) => listWebhooks(tx, page));
    return { items: items.map(webhookJson), nextCursor };
  }

  @Get(':id')
  @Access('notice:read')
  @Answers('Get a webhook, never its secret', webhookSchema)
  async get(@By() by: Actor, @Param('id', webhookId) id: string) {
    return webhookJson(found(await read(this.a, by, (tx) => findWebhook(tx, id)), 'webhook'));
  }

  @Patch(':id')
  @Access('notice:manage')
  @Answers('Change a webhook', webhookSchema)
  async change(
    @By() by: Actor,
    @Param('id', webhookId) id: string,
    @Body({ schema: webhookChange }) body: z.infer<typeof webhookChange>,
  ) {
    // Whose it is comes first: a stranger's change asks no name server.
    found(await read(this.a, by, (tx) => findWebhook(tx, id)), 'webhook');
    const url = body.url === undefined ? undefined : (await this.guard.check(body.url)).url;
    return webhookJson(await changeWebhook(this.a, by, id, { ...body, url }));
  }

  @Delete(':id')
  @Access('notice:manage')
  @Answers('Remove a webhook for good', webhookSchema)
  async remove(@By() by: Actor, @Param('id', webhookId) id: string) {
    return webhookJson(await removeWebhook(this.a, by, id));
  }

  @Post(':id/rotate')
  @Access('notice:manage')
  @Answers('Give a webhook a new secret; the one before signs too for 24 hours', webhookWithSecretSchema, 201)
  rotate(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('id', webhookId) id: string,
    @Body({ schema: nothing }) _: z.infer<typeof nothing>,
  ) {
    return createOnce(this.a, by, http, { secret: true }, async (a) =>
      webhookWithSecretJson(await rotateWebhook(a, by, id)),
    );
  }

  @Post(':id/test')
  @Access('notice:manage')
  @Answers('Send a test notice', deliverySchema, 201)
  test(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('id', webhookId) id: string,
    @Body({ schema: nothing }) _: z.infer<typeof nothing>,
  ) {
    return createOnce(this.a, by, http, { secret: false }, async (a) => deliveryJson(await testWebhook(a, by, id), []));
  }

  @Get(':id/deliveries')
  @Access('notice:read')
  @Answers('List what was sent to a webhook, with every try', deliveryPage)
  async deliveries(
    @By() by: Actor,
    @Param('id', webhookId) id: string,
    @Query({ schema: query }) page: z.infer<typeof query>,
  ) {
    return read(this.a, by, async (tx) => {
      found(await findWebhook(tx, id), 'webhook');
      const { items, nextCursor } = await listDeliveries(tx, id, page);
      const attempts = await listAttempts(
        tx,
        items.map((one) => one.id),
      );
      return { items: items.map((one) => deliveryJson(one, attempts)), nextCursor };
    });
  }

  @Post(':id/deliveries/:deliveryId/replay')
  @Access('notice:manage')
  @Answers('Send a notice once more, under the id it had', deliverySchema)
  async replay(
    @By() by: Actor,
    @Param('id', webhookId) id: string,
    @Param('deliveryId', deliveryId) delivery: string,
    @Body({ schema: nothing }) _: z.infer<typeof nothing>,
  ) {
    const repeated = await replayDelivery(this.a, by, id, delivery);
    return deliveryJson(repeated, await read(this.a, by, (tx) => listAttempts(tx, [delivery])));
  }
}
