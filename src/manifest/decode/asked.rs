//! What a typed list wants its elements to be.

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::Stop;

/// Learns what the elements of a list would have been: the element's own request is the answer.
///
/// It yields no element, so that the list ends up empty.
pub(super) struct Asked<'a>(pub(super) &'a mut String);

impl<'de> SeqAccess<'de> for Asked<'_> {
    type Error = Stop;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Stop> {
        if let Err(Stop(name)) = seed.deserialize(AskedElement) {
            *self.0 = name;
        }
        Ok(None)
    }
}

struct AskedElement;

impl<'de> Deserializer<'de> for AskedElement {
    type Error = Stop;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        Err(Stop("string".to_owned()))
    }

    fn deserialize_i32<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        Err(Stop("int32".to_owned()))
    }

    fn deserialize_i64<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        Err(Stop("int64".to_owned()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Stop> {
        Err(Stop(format!("v1.{name}")))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
