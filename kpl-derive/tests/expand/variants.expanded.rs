#[doc(hidden)]
#[allow(
    dead_code,
    deprecated,
    non_snake_case,
    private_bounds,
    unused_qualifications,
    clippy::absolute_paths
)]
const _: () = {
    use ::kpl::derive_support as __kpl;
    #[derive(__kpl::serde::Serialize)]
    #[serde(crate = "__kpl::serde")]
    #[serde(rename = "Event")]
    #[serde(remote = "Event")]
    #[serde(bound(serialize = ""))]
    enum __Written {
        Placed(OrderPlaced),
        Shipped { order: Order },
        Cancelled { #[serde(skip)] order: String },
    }
    struct __WrittenRef<'__kpl>(&'__kpl Event);
    #[automatically_derived]
    impl<'__kpl> __kpl::serde::Serialize for __WrittenRef<'__kpl> {
        fn serialize<__S>(&self, __serializer: __S) -> __kpl::Result<__S::Ok, __S::Error>
        where
            __S: __kpl::serde::Serializer,
        {
            __Written::serialize(self.0, __serializer)
        }
    }
    #[automatically_derived]
    impl __kpl::KplRecord for Event {
        #[inline]
        fn partition_key<'__a>(
            &'__a self,
            __buffer: &'__a mut __kpl::String,
        ) -> __kpl::Result<&'__a __kpl::str, __kpl::KeyError> {
            use __kpl::{
                ViaAsRef as _, ViaDisplay as _, ViaOption as _, ViaOther as _,
                ViaText as _,
            };
            match self {
                Self::Placed { 0: __field_0, .. } => {
                    <OrderPlaced as __kpl::KplRecord>::partition_key(__field_0, __buffer)
                }
                Self::Shipped { order: __field_order, .. } => {
                    __kpl::write_key(
                        __buffer,
                        __kpl::core::format_args!(
                            "{:08x}/{}", & __field_order.id, __kpl::DisplayKind.part(&
                            __field_order.customer.0)
                        ),
                    )
                }
                Self::Cancelled { order: __field_order, .. } => {
                    (&&&&__kpl::Probe::of(__field_order))
                        .key_kind()
                        .key(__field_order, __buffer)
                }
            }
        }
        #[inline]
        fn explicit_hash_key(
            &self,
        ) -> __kpl::Result<__kpl::Option<__kpl::HashKey>, __kpl::KeyError> {
            __kpl::Ok(
                match self {
                    Self::Placed { 0: __field_0, .. } => {
                        <OrderPlaced as __kpl::KplRecord>::explicit_hash_key(__field_0)?
                    }
                    Self::Shipped { .. } => __kpl::None,
                    Self::Cancelled { .. } => __kpl::None,
                },
            )
        }
        fn tags(
            &self,
            __tags: &mut __kpl::Tags<'_>,
        ) -> __kpl::Result<(), __kpl::KeyError> {
            use __kpl::{ViaOptionTag as _, ViaTag as _};
            match self {
                Self::Placed { 0: __field_0, .. } => {
                    <OrderPlaced as __kpl::KplRecord>::tags(__field_0, __tags)?
                }
                Self::Shipped { .. } => {}
                Self::Cancelled { .. } => {}
            }
            __kpl::Ok(())
        }
        #[inline]
        fn payload<'__a>(
            &'__a self,
            __buffer: &'__a mut __kpl::Vec<__kpl::u8>,
        ) -> __kpl::Result<&'__a [__kpl::u8], __kpl::CodecError> {
            __kpl::encode_elided::<kpl::codec::Json, _>(&__WrittenRef(self), __buffer)?;
            __kpl::Ok(__buffer)
        }
        #[inline]
        fn always_wrapped(&self) -> __kpl::bool {
            match self {
                Self::Placed { 0: __field_0, .. } => {
                    <OrderPlaced as __kpl::KplRecord>::always_wrapped(__field_0)
                }
                Self::Shipped { .. } => false,
                Self::Cancelled { .. } => true,
            }
        }
    }
    #[derive(__kpl::serde::Deserialize)]
    #[serde(crate = "__kpl::serde")]
    #[serde(rename = "Event")]
    enum __Read {
        Placed(OrderPlaced),
        Shipped { order: Order },
        Cancelled { #[serde(skip)] order: __kpl::PhantomData<fn() -> String> },
    }
    #[automatically_derived]
    impl<'__kpl> __kpl::FromKplRecord<'__kpl> for Event {
        #[inline]
        fn from_user_record(
            __record: &__kpl::UserRecord<'__kpl>,
        ) -> __kpl::Result<Self, __kpl::ReadError> {
            use __kpl::{ViaBorrow as _, ViaParse as _};
            let __read: __Read = __kpl::decode_elided::<
                kpl::codec::Json,
                _,
            >(__record.data)?;
            __kpl::Ok(
                match __read {
                    __Read::Placed { 0: __field_0 } => Self::Placed { 0: __field_0 },
                    __Read::Shipped { order: __field_order } => {
                        Self::Shipped {
                            order: __field_order,
                        }
                    }
                    __Read::Cancelled { order: _ } => {
                        Self::Cancelled {
                            order: (&__kpl::Probe::<String>::new())
                                .restore_kind()
                                .restore::<String>("order", __record.partition_key)?,
                        }
                    }
                },
            )
        }
    }
};
