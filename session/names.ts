/**
 * Memorable ids: an adjective and an animal, easy to say and to type.
 *
 * @module
 */

// deno-fmt-ignore
const ADJECTIVES = "agile amber ample apt azure bold brave breezy bright brisk calm candid clever cosmic crisp curious daring deft dapper eager early elegant fair fancy fast fleet fond frank free fresh gentle glad golden grand happy hardy honest humble jolly keen kind lively loyal lucid lucky mellow merry mighty modest neat nimble noble patient plucky polite prime proud quick quiet rapid ready robust rosy serene sharp silent silver smart snappy solid spry stable steady stout subtle sunny super swift tidy trusty upbeat vivid warm wise witty zesty".split(" ");
// deno-fmt-ignore
const ANIMALS = "adder albatross ant badger bat bear beaver bee bison boar bobcat camel cat cheetah cobra condor coyote crab crane crow deer dingo dolphin dove duck eagle eel egret elk falcon ferret finch fox frog gazelle gecko gibbon goose gull hare hawk heron hippo hornet horse ibex ibis iguana jackal jaguar jay kestrel kiwi koala lark lemur leopard lion lizard llama lynx magpie marmot marten mink mole moose moth mouse newt ocelot octopus oriole osprey otter owl ox panda panther parrot pelican penguin pigeon puffin puma quail rabbit raven robin salmon seal shark shrew skunk sloth snail sparrow spider squid stork swan tapir tern tiger toad trout turtle viper walrus wasp weasel whale wolf wombat wren yak zebra".split(" ");

/**
 * A random name such as `brave-otter`; from the fourth attempt on (the first is 0) with a
 * number, so that a full root still has unused names.
 *
 * @example
 * ```ts
 * import { randomName } from "./session/names.ts";
 * console.log(randomName(0));
 * ```
 */
export function randomName(attempt: number): string {
  const pick = (words: readonly string[]) =>
    words[Math.floor(Math.random() * words.length)];
  const name = `${pick(ADJECTIVES)}-${pick(ANIMALS)}`;
  if (attempt < 3) return name;
  return `${name}-${Math.floor(Math.random() * 10 ** Math.min(attempt, 9))}`;
}
