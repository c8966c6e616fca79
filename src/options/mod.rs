//! What files may hold: sections of keys, each key described in one place.
//!
//! A description ([`options!`], [`choices!`], or an [`Options`] by hand) carries keys, what they are
//! for, their defaults and their ranges. Reading a section and its JSON Schema both come from it:
//! [`Section::take`] reads a key of a file, or notes it down where a section is only described.
//! Promises that every error is told, with its place, what was expected and the nearest name, and
//! that what a variable held shows in none of them. Leaves to others where the tree of a file comes
//! from, and what the settings mean.

mod context;
mod forms;
mod node;
pub(crate) mod numbers;
pub(crate) mod scalar;
mod schema;
mod section;
pub(crate) mod values;

pub(crate) use context::{At, Context, Fault, Problems};
pub(crate) use forms::{
    Form, Key, any_number, boolean, choice, collector_duration, duration, entries, form, items,
    list, name, number, path, percentage, perhaps_empty, section, size, split_by_commas, text,
    wait, whole,
};
pub(crate) use node::{Entry, Node, Place, Problem, Value, lines};
pub(crate) use schema::{NUMBER, Schemas, described, nullable, or_variable};
pub(crate) use section::{Section, nearest};

/// What stands in a section, described once. Read by it, and shown as JSON Schema.
pub(crate) trait Options {
    /// What the schema calls it.
    const NAME: &'static str;
    /// What it is for.
    const ABOUT: &'static str;

    /// Takes each key of the section, whatever the others hold: what is not taken is unknown.
    fn read(section: &mut Section<'_>) -> Self;
}

/// One of several names that a value may have.
pub(crate) trait Choice: Copy + 'static {
    /// What the schema calls them.
    const NAME: &'static str;
    /// What is chosen.
    const ABOUT: &'static str;
    /// The names, what they stand for, and what that means.
    const ALL: &'static [(&'static str, Self, &'static str)];
}

/// What a section without any keys comes to: the defaults.
pub(crate) fn defaults<T: Options>() -> T {
    T::read(&mut Section::nothing(&Context::default()))
}

/// Defines a struct by the keys of a section: `field: Type = form.required("example")`, or with
/// `.or("default")`, or `.optional()`. What follows after `then |section|` is done when all keys
/// were taken; the fields can be used and changed there.
macro_rules! options {
    (
        $(#[doc = $about:literal])+
        $vis:vis struct $name:ident {
            $($(#[doc = $doc:literal])+ $field:ident: $type:ty = $key:expr,)*
        }
        $(then |$section:ident| $then:block)?
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name {
            $($(#[doc = $doc])+ pub $field: $type,)*
        }

        impl $crate::options::Options for $name {
            const NAME: &'static str = stringify!($name);
            const ABOUT: &'static str = concat!($($about, "\n"),+);

            #[allow(unused_mut, unused_variables)]
            fn read(taken: &mut $crate::options::Section<'_>) -> Self {
                $(let mut $field: $type =
                    taken.take(stringify!($field), concat!($($doc, "\n"),+), $key);)*
                $(
                    let $section = &mut *taken;
                    $then
                )?
                Self { $($field,)* }
            }
        }
    };
}

/// Defines an enum by the names that its values have in files. The first one is the default.
macro_rules! choices {
    (
        $(#[doc = $about:literal])+
        $vis:vis enum $name:ident {
            $(#[doc = $first_doc:literal])+
            $first:ident = $first_text:literal,
            $($(#[doc = $doc:literal])+ $value:ident = $text:literal,)*
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        $vis enum $name {
            $(#[doc = $first_doc])+
            #[default]
            $first,
            $($(#[doc = $doc])+ $value,)*
        }

        impl $crate::options::Choice for $name {
            const NAME: &'static str = stringify!($name);
            const ABOUT: &'static str = concat!($($about, "\n"),+);
            const ALL: &'static [(&'static str, Self, &'static str)] = &[
                ($first_text, Self::$first, concat!($($first_doc, "\n"),+)),
                $(($text, Self::$value, concat!($($doc, "\n"),+)),)*
            ];
        }
    };
}

pub(crate) use {choices, options};
