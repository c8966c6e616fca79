//! A partition and a worker, without Kafka: what happens when the policies change, and whatever
//! else happens.

mod bench;
mod counting;
mod joining;
mod keeping;
mod model;
mod reading;
mod refusing;
mod remembering;
mod switching;
mod trial;
