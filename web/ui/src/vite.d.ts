declare module "*.ts?worker&url" {
  const url: string;
  export default url;
}
