/** Names for containers nobody named: a kind of glaze and a kind of vessel. */

const first = `amber ashen auburn azure blue bold brave bright brisk broad bronze calm candid celadon clay clear cobalt coral
crackled crimson daring deep eager earthen emerald fair fine fired fluted frosted gentle gilded glazed golden grand green happy
hardy honest humble indigo iron ivory jade jolly keen kind lively loyal lucid lustrous mellow merry misty mossy nimble noble
olive patient pearly placid plain polished proud quick quiet rosy ruby rustic sandy scarlet serene silent silver slate smoky
smooth snowy steady stony sturdy sunny swift tall tawny tender thrown tidy umber upright velvet violet warm white wise witty
woven zesty`.split(/\s+/);

const second = `amphora alabastron aryballos basin beaker bottle bowl bucket canteen carafe cask chalice churn cistern cradle
creamer crock cruet cruse cup cylinder decanter demijohn dish dolium ewer flagon flask flowerpot goblet gourd hangari hydria
jar jarlet jeroboam jorum jug kantharos keg kettle kiln krater kylix ladle lekythos magnum moon_jar mortar mug olla onggi
pail pan patera pelike pitcher pithos planter platter pot potsherd puncheon pyxis rhyton rummer salver saucer sauceboat
skyphos stamnos stein tankard tea_bowl teapot terrine tile trough tumbler tureen urn vase vat vessel`.split(/\s+/);

const pick = (words: readonly string[]): string => words[Math.floor(Math.random() * words.length)] as string;

/** A name `taken` does not know; with a number at its end when luck runs out. */
export function generateName(taken: (name: string) => boolean): string {
  for (let tries = 0; tries < 20; tries++) {
    const name = `${pick(first)}_${pick(second)}`;
    if (!taken(name)) return name;
  }
  for (;;) {
    const name = `${pick(first)}_${pick(second)}_${Math.floor(Math.random() * 1e6)}`;
    if (!taken(name)) return name;
  }
}
