mod fence;
mod joining;
mod merging;
