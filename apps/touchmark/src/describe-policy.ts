import { currentLabels, currentProfiles, type PolicyView } from '#authority';
import { KEY_TYPES, overEst, renewsOverTls, type EstLabel, type Profile } from '#policy';

/** What every label offers (E08). */
const ALWAYS = ['cacerts', 'simpleenroll', 'simplereenroll'] as const;

/** Versions of what providers will read in place of asking: a client that finds none asks. */
const NOT_SERVED = { feeds: [], lists: [] };

/** What discovery tells of how this instance issues: as decided now, and nothing that an EST client could not find out. */
export function describePolicy(view: PolicyView): object {
  const profiles = currentProfiles(view);
  const labels = currentLabels(view);
  const issued = profiles.filter(overEst);
  return {
    est: {
      operations: [...ALWAYS, ...new Set(labels.flatMap(({ operations }) => operations))],
      labels: labels.map(({ name }) => name),
      offers: labels.flatMap((label) => {
        const profile = profiles.find(({ name }) => name === label.profile);
        return profile === undefined ? [] : offerOf(label, profile);
      }),
    },
    profiles: profiles.map(({ name, version }) => ({ name, version })),
    ...NOT_SERVED,
    keyTypes: KEY_TYPES.filter((keyType) => issued.some((profile) => profile.keyTypes.includes(keyType))),
  };
}

function offerOf(label: EstLabel, profile: Profile): object {
  const { name, authentication, channelBinding, operations, lineForm } = label;
  return {
    label: name,
    profile: profile.name,
    keyTypes: profile.keyTypes,
    authentication,
    operations: [...ALWAYS, ...operations],
    channelBinding,
    lineForm,
    approval: label.approval || profile.approval,

    renewsOverTls: renewsOverTls(profile) && authentication.includes('certificate'),
    revocation: profile.revocation,
    validitySeconds: profile.validitySeconds,
  };
}
