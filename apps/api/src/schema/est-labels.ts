import { z } from 'zod';
import { AUTHENTICATION_METHODS, OPTIONAL_OPERATIONS, type EstLabel } from '#policy';
import { pageOf, text } from './values.js';

const settings = {
  description: text(200),
  profile: text(100).meta({ description: 'what is issued by it' }),
  authentication: z
    .array(z.enum(AUTHENTICATION_METHODS))
    .min(1)
    .max(AUTHENTICATION_METHODS.length)
    .meta({ description: 'ways of proving who one is; of several that are sent the strongest counts' }),
  digest: z.boolean().meta({ description: 'the secret may come by HTTP Digest too' }),
  registers: z.boolean().meta({ description: 'an unknown device registers by its API key' }),
  anchors: z.array(text(40)).max(20).meta({ description: 'sets of trust anchors that `manufacturer` takes' }),
  approval: z.boolean().meta({ description: 'somebody approves each first certificate' }),
  channelBinding: z
    .enum(['off', 'optional', 'required'])
    .meta({ description: 'link of the request to the connection' }),
  operations: z
    .array(z.enum(OPTIONAL_OPERATIONS))
    .max(OPTIONAL_OPERATIONS.length)
    .meta({ description: 'offered besides cacerts, simpleenroll and simplereenroll' }),
  lineForm: z.enum(['auto', 'single', 'wrapped']).meta({ description: 'base64 of answers: one line, or 64 columns' }),
  pemRequests: z.boolean().meta({ description: 'a request may be PEM' }),
  missingSan: z.enum(['refuse', 'keep']).meta({ description: 'a renewal without subjectAltName' }),
  challengePassword: z.enum(['binding', 'secret']).meta({ description: 'what it holds' }),
  proxy: z.boolean().meta({ description: 'a proxy that ends TLS may hand over the certificate' }),
};

export const estLabelSchema = z
  .strictObject({ name: z.string(), version: z.int(), ...settings })
  .meta({ id: 'EstLabel', description: 'What EST offers under one path segment' });
export const estLabelPage = pageOf(estLabelSchema);

/** What is left out is as in a shipped label. */
export const estLabelChange = z
  .strictObject({
    ...settings,
    description: settings.description.default('-'),
    digest: settings.digest.default(false),
    registers: settings.registers.default(false),
    anchors: settings.anchors.default([]),
    approval: settings.approval.default(false),
    channelBinding: settings.channelBinding.default('optional'),
    operations: settings.operations.default(['csrattrs']),
    lineForm: settings.lineForm.default('auto'),
    pemRequests: settings.pemRequests.default(false),
    missingSan: settings.missingSan.default('refuse'),
    challengePassword: settings.challengePassword.default('binding'),
    proxy: settings.proxy.default(false),
  })
  .meta({ id: 'EstLabelChange' });

export function estLabelJson(label: EstLabel): z.infer<typeof estLabelSchema> {
  const { authentication, anchors, operations, ...rest } = label;
  return { ...rest, authentication: [...authentication], anchors: [...anchors], operations: [...operations] };
}
