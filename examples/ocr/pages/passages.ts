/** A text in the public domain, and the work it is from. */
export interface Passage {
  readonly work: string;
  readonly heading: string;
  readonly paragraphs: readonly string[];
}

/** Jane Austen, Pride and Prejudice (1813), the opening of chapter 1. */
export const austen: Passage = {
  work: "Pride and Prejudice",
  heading: "Chapter I",
  paragraphs: [
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a wife.",
    "However little known the feelings or views of such a man may be on his first entering a neighbourhood, this truth is so well fixed in the minds of the surrounding families, that he is considered the rightful property of some one or other of their daughters.",
    "“My dear Mr. Bennet,” said his lady to him one day, “have you heard that Netherfield Park is let at last?”",
    "Mr. Bennet replied that he had not.",
    "“But it is,” returned she; “for Mrs. Long has just been here, and she told me all about it.”",
    "Mr. Bennet made no answer.",
    "“Do you not want to know who has taken it?” cried his wife impatiently.",
    "“You want to tell me, and I have no objection to hearing it.”",
    "This was invitation enough.",
    "“Why, my dear, you must know, Mrs. Long says that Netherfield is taken by a young man of large fortune from the north of England; that he came down on Monday in a chaise and four to see the place, and was so much delighted with it that he agreed with Mr. Morris immediately.”",
  ],
};

/** Abraham Lincoln, the address at Gettysburg (19 November 1863), the copy made for Colonel Bliss. */
export const lincoln: Passage = {
  work: "Address Delivered at the Dedication of the Cemetery at Gettysburg",
  heading: "The Gettysburg Address",
  paragraphs: [
    "Four score and seven years ago our fathers brought forth on this continent, a new nation, conceived in Liberty, and dedicated to the proposition that all men are created equal.",
    "Now we are engaged in a great civil war, testing whether that nation, or any nation so conceived and so dedicated, can long endure. We are met on a great battle-field of that war. We have come to dedicate a portion of that field, as a final resting place for those who here gave their lives that that nation might live. It is altogether fitting and proper that we should do this.",
    "But, in a larger sense, we can not dedicate—we can not consecrate—we can not hallow—this ground. The brave men, living and dead, who struggled here, have consecrated it, far above our poor power to add or detract. The world will little note, nor long remember what we say here, but it can never forget what they did here. It is for us the living, rather, to be dedicated here to the unfinished work which they who fought here have thus far so nobly advanced.",
  ],
};

/** Herman Melville, Moby-Dick; or, The Whale (1851), the opening of chapter 1. */
export const melville: Passage = {
  work: "Moby-Dick; or, The Whale",
  heading: "Loomings",
  paragraphs: [
    "Call me Ishmael. Some years ago—never mind how long precisely—having little or no money in my purse, and nothing particular to interest me on shore, I thought I would sail about a little and see the watery part of the world. It is a way I have of driving off the spleen and regulating the circulation. Whenever I find myself growing grim about the mouth; whenever it is a damp, drizzly November in my soul; whenever I find myself involuntarily pausing before coffin warehouses, and bringing up the rear of every funeral I meet; and especially whenever my hypos get such an upper hand of me, that it requires a strong moral principle to prevent me from deliberately stepping into the street, and methodically knocking people’s hats off—then, I account it high time to get to sea as soon as I can.",
    "There now is your insular city of the Manhattoes, belted round by wharves as Indian isles by coral reefs—commerce surrounds it with her surf. Right and left, the streets take you waterward. Its extreme downtown is the battery, where that noble mole is washed by waves, and cooled by breezes, which a few hours previous were out of sight of land. Look at the crowds of water-gazers there.",
  ],
};

/** Lewis Carroll, Alice's Adventures in Wonderland (1865), the opening of chapter 1. */
export const carroll: Passage = {
  work: "Alice’s Adventures in Wonderland",
  heading: "Down the Rabbit-Hole",
  paragraphs: [
    "Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do: once or twice she had peeped into the book her sister was reading, but it had no pictures or conversations in it, “and what is the use of a book,” thought Alice “without pictures or conversations?”",
    "So she was considering in her own mind (as well as she could, for the hot day made her feel very sleepy and stupid), whether the pleasure of making a daisy-chain would be worth the trouble of getting up and picking the daisies, when suddenly a White Rabbit with pink eyes ran close by her.",
    "There was nothing so very remarkable in that; nor did Alice think it so very much out of the way to hear the Rabbit say to itself, “Oh dear! Oh dear! I shall be late!”",
  ],
};

/** Charles Darwin, On the Origin of Species (1859), the opening of the introduction. */
export const darwin: Passage = {
  work: "On the Origin of Species",
  heading: "Introduction",
  paragraphs: [
    "When on board H.M.S. ‘Beagle,’ as naturalist, I was much struck with certain facts in the distribution of the inhabitants of South America, and in the geological relations of the present to the past inhabitants of that continent. These facts seemed to me to throw some light on the origin of species—that mystery of mysteries, as it has been called by one of our greatest philosophers.",
    "On my return home, it occurred to me, in 1837, that something might perhaps be made out on this question by patiently accumulating and reflecting on all sorts of facts which could possibly have any bearing on it. After five years’ work I allowed myself to speculate on the subject, and drew up some short notes; these I enlarged in 1844 into a sketch of the conclusions, which then seemed to me probable: from that period to the present day I have steadily pursued the same object.",
  ],
};

/** One line of an account: what was bought, what it cost in dollars, and the buyer's remark if he made one. */
export interface Entry {
  readonly item: string;
  readonly dollars: string;
  readonly remark: string;
}

/** Henry David Thoreau, Walden (1854), chapter 1: what his house cost. Halves of a cent are left out. */
export const thoreauHouse: readonly Entry[] = [
  { item: "Boards", dollars: "8.03", remark: "mostly shanty boards" },
  { item: "Refuse shingles", dollars: "4.00", remark: "for roof and sides" },
  { item: "Laths", dollars: "1.25", remark: "" },
  { item: "Two windows", dollars: "2.43", remark: "second-hand, with glass" },
  { item: "One thousand old brick", dollars: "4.00", remark: "" },
  { item: "Two casks of lime", dollars: "2.40", remark: "that was high" },
  { item: "Hair", dollars: "0.31", remark: "more than I needed" },
  { item: "Mantle-tree iron", dollars: "0.15", remark: "" },
  { item: "Nails", dollars: "3.90", remark: "" },
  { item: "Hinges and screws", dollars: "0.14", remark: "" },
  { item: "Latch", dollars: "0.10", remark: "" },
  { item: "Chalk", dollars: "0.01", remark: "" },
  { item: "Transportation", dollars: "1.40", remark: "a good part on my back" },
];

/** Henry David Thoreau, Walden (1854), chapter 1: what he ate in eight months. Parts of a cent are left out. */
export const thoreauFood: readonly Entry[] = [
  { item: "Rice", dollars: "1.73", remark: "" },
  { item: "Molasses", dollars: "1.73", remark: "cheapest form" },
  { item: "Rye meal", dollars: "1.04", remark: "" },
  { item: "Indian meal", dollars: "0.99", remark: "cheaper than rye" },
  { item: "Pork", dollars: "0.22", remark: "" },
  { item: "Flour", dollars: "0.88", remark: "" },
  { item: "Sugar", dollars: "0.80", remark: "" },
  { item: "Lard", dollars: "0.65", remark: "" },
  { item: "Apples", dollars: "0.25", remark: "" },
  { item: "Dried apple", dollars: "0.22", remark: "" },
  { item: "Sweet potatoes", dollars: "0.10", remark: "" },
  { item: "One pumpkin", dollars: "0.06", remark: "" },
  { item: "One watermelon", dollars: "0.02", remark: "" },
  { item: "Salt", dollars: "0.03", remark: "" },
];
