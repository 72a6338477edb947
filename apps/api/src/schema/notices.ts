import { z } from 'zod';
import { EVENT_TYPES, isEventFilter, isMailAddress, type WebhookWithSecret } from '#authority';
import type { Delivery, DeliveryAttempt, MailSubscription, Webhook } from '#store';
import { id, pageOf, text, time } from './values.js';

const events = z
  .array(z.string().max(60).refine(isEventFilter, 'must be an event type, a noun with ".*" or "*"'))
  .min(1)
  .max(50)
  .refine((list) => new Set(list).size === list.length, 'must name each event once')
  .meta({ description: 'event types (GET /v1/event-types), "certificate.*" or "*"' });
const url = z.string().min(8).max(2000).meta({ description: 'https; http only to networks the operator has allowed' });
const description = z.union([z.literal(''), text(200)]);
const webhookState = z.enum(['active', 'disabled']);

export const newWebhook = z
  .strictObject({ url, events, description: description.default('') })
  .meta({ id: 'NewWebhook' });
export const webhookChange = z
  .strictObject({
    url: url.optional(),
    events: events.optional(),
    description: description.optional(),
    state: webhookState.optional(),
  })
  .meta({ id: 'WebhookChange' });

const webhookMembers = {
  id,
  organizationId: id,
  url: z.string(),
  description: z.string(),
  events: z.array(z.string()),
  state: z.enum(['active', 'disabled', 'removed']),
  createdAt: time,
  previousSecretEndsAt: time.optional().meta({ description: 'until then the secret before signs too' }),
};
export const webhookSchema = z.strictObject(webhookMembers).meta({ id: 'Webhook' });
export const webhookWithSecretSchema = z
  .strictObject({ ...webhookMembers, secret: z.string().meta({ description: 'whsec_...; shown only here' }) })
  .meta({ id: 'WebhookWithSecret' });
export const webhookPage = pageOf(webhookSchema);

const attempt = z.strictObject({
  attempt: z.int(),
  at: time,
  durationMs: z.int(),
  status: z.int().optional().meta({ description: 'HTTP status of the answer, if there was one' }),
  error: z.string().optional().meta({ description: 'target, connection, certificate, timeout, redirect or status' }),
});
export const deliverySchema = z
  .strictObject({
    id,
    noticeId: id.meta({ description: 'the webhook-id header' }),
    type: z.string(),
    subject: z.string(),
    state: z.enum(['pending', 'delivered', 'failed']),
    attempts: z.array(attempt),
    nextAt: time.optional().meta({ description: 'of the next try' }),
    createdAt: time,
  })
  .meta({ id: 'Delivery' });
export const deliveryPage = pageOf(deliverySchema);

const digest = z.enum(['immediate', 'hourly', 'daily']);
const address = z.string().max(254).refine(isMailAddress, 'must be one plain e-mail address');

export const newMailSubscription = z
  .strictObject({ address, events, digest: digest.default('daily') })
  .meta({ id: 'NewMailSubscription' });
export const mailSubscriptionChange = z
  .strictObject({ events: events.optional(), digest: digest.optional() })
  .meta({ id: 'MailSubscriptionChange' });
export const mailSubscriptionSchema = z
  .strictObject({
    id,
    organizationId: id,
    address: z.string(),
    events: z.array(z.string()),
    digest,
    state: z.enum(['active', 'removed']),
    lastSentAt: time.optional(),
    createdAt: time,
  })
  .meta({ id: 'MailSubscription' });
export const mailSubscriptionPage = pageOf(mailSubscriptionSchema);

export const eventTypeList = z
  .strictObject({ items: z.array(z.strictObject({ type: z.string(), description: z.string() })) })
  .meta({ id: 'EventTypes' });
export const eventTypesJson = (): z.infer<typeof eventTypeList> => ({ items: EVENT_TYPES.map((one) => ({ ...one })) });

export function webhookJson(row: Webhook): z.infer<typeof webhookSchema> {
  const { previousEndsAt, createdAt } = row;
  return {
    id: row.id,
    organizationId: row.organizationId,
    url: row.url,
    description: row.description,
    events: row.events,
    state: row.state,
    createdAt: createdAt.toISOString(),
    ...(previousEndsAt && { previousSecretEndsAt: previousEndsAt.toISOString() }),
  };
}

export function webhookWithSecretJson(made: WebhookWithSecret): z.infer<typeof webhookWithSecretSchema> {
  return { ...webhookJson(made.webhook), secret: made.secret };
}

export function deliveryJson(row: Delivery, attempts: readonly DeliveryAttempt[]): z.infer<typeof deliverySchema> {
  return {
    id: row.id,
    noticeId: row.noticeId,
    type: row.type,
    subject: row.subject,
    state: row.state,
    attempts: attempts
      .filter(({ deliveryId }) => deliveryId === row.id)
      .map((one) => ({
        attempt: one.attempt,
        at: one.at.toISOString(),
        durationMs: one.durationMs,
        ...(one.status !== null && { status: one.status }),
        ...(one.error !== null && { error: one.error }),
      })),
    ...(row.state === 'pending' && { nextAt: row.nextAt.toISOString() }),
    createdAt: row.createdAt.toISOString(),
  };
}

export function mailSubscriptionJson(row: MailSubscription): z.infer<typeof mailSubscriptionSchema> {
  return {
    id: row.id,
    organizationId: row.organizationId,
    address: row.address,
    events: row.events,
    digest: row.digest,
    state: row.state,
    ...(row.lastSentAt && { lastSentAt: row.lastSentAt.toISOString() }),
    createdAt: row.createdAt.toISOString(),
  };
}
